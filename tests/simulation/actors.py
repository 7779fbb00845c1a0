"""Who takes part in a simulated network."""

from dataclasses import dataclass, field

from pivot.primitives.addresses import consensus_address
from pivot.primitives.hashes import sha256
from pivot.primitives.keys import PrivateKey


def account_key(name: str) -> PrivateKey:
    """The account key of an actor; the same name has the same key in every run."""
    return PrivateKey(sha256(b"simulated " + name.encode()))


@dataclass
class Host:
    """A host with everything that its node would keep: keys, nodes, secrets."""

    name: str
    honest: bool
    key: PrivateKey = field(init=False)
    gateway: PrivateKey = field(init=False)
    consensus_key: bytes = field(init=False)
    salts: dict[int, bytes] = field(default_factory=dict)
    """Salt of its proof-of-compute votes, by epoch."""

    def __post_init__(self) -> None:
        self.key = account_key(self.name)
        self.gateway = account_key(f"gateway of {self.name}")
        self.consensus_key = sha256(b"consensus key of " + self.name.encode())

    @property
    def address(self) -> str:
        return self.key.address

    @property
    def url(self) -> str:
        return f"http://{self.name}.example:9000"

    @property
    def consensus_address(self) -> bytes:
        return consensus_address(self.consensus_key)

    def rotate(self, number: int) -> None:
        """Take another consensus key."""
        self.consensus_key = sha256(f"consensus key {number} of {self.name}".encode())

    def secret(self, epoch: int) -> bytes:
        """What lies under its hash chain of an epoch (32 bytes)."""
        return sha256(f"secret of {self.name} in {epoch}".encode())
