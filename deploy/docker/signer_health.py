"""Health check of the signer's container: whether tmkms is connected to its chain node."""

import sys
from pathlib import Path

NODE_PORT = 26658
ESTABLISHED = "01"
"""As the kernel writes it in /proc/net/tcp, whose columns are number, own address, other address, state."""


def connected() -> bool:
    """Whether a connection to the port at which the chain node waits for its signer is open."""
    lines = [line.split() for file in Path("/proc/net").glob("tcp*") for line in file.read_text().splitlines()[1:]]
    return any(other.endswith(f":{NODE_PORT:04X}") and state == ESTABLISHED for _, _, other, state, *_ in lines)


if __name__ == "__main__":
    sys.exit(0 if connected() else 1)
