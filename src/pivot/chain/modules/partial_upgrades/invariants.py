"""What holds after every block."""

from pivot.chain.modules.partial_upgrades.state import HEIGHT_BYTES, STORE, UPGRADES
from pivot.chain.pagination import prefix_end
from pivot.chain.types import Reader
from pivot.protocol.generated.inference.inference.types_pb2 import PartialUpgrade


def check_partial_upgrades(state: Reader) -> None:
    """Each stands under its height, and tells API or ML nodes what to run. Raises AssertionError."""
    for key, row in state.iterate(STORE, UPGRADES, prefix_end(UPGRADES)):
        record = PartialUpgrade.FromString(row)
        if not record.height or key != UPGRADES + record.height.to_bytes(HEIGHT_BYTES) + b"/":
            raise AssertionError(f"the partial upgrade of height {record.height} stands under {key!r}")
        if not record.node_version and not record.api_binaries_json:
            raise AssertionError(f"the partial upgrade of height {record.height} upgrades nothing")
