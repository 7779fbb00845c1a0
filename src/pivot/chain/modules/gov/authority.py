"""The account in whose name passed proposals run. Nobody has a key to it, so a message that it must sign needs a vote."""

from pivot.chain.errors import NetworkCode, NetworkError
from pivot.chain.modules.bank.state import GOVERNANCE

AUTHORITY = GOVERNANCE


def check_authority(authority: str) -> None:
    """Refuse a message that governance alone may send. Raises NetworkError (NOT_GOVERNANCE)."""
    if authority != AUTHORITY:
        raise NetworkError(
            NetworkCode.NOT_GOVERNANCE, f"authority: {authority[:100]!r} is not governance, which is {AUTHORITY}"
        )
