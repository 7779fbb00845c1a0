"""`python -m pivot.chain`: the chain application behind the engine's socket."""

import argparse
import sys
from pathlib import Path

from pivot.chain.run import run


def main() -> int:
    """Read the command line and serve. Returns the exit status."""
    arguments = argparse.ArgumentParser(prog="python -m pivot.chain", description=__doc__)
    arguments.add_argument("--home", type=Path, required=True, help="folder of the state")
    arguments.add_argument("--socket", type=Path, required=True, help="unix socket that the engine connects to")
    options = arguments.parse_args()
    return run(options.home, options.socket)


if __name__ == "__main__":
    sys.exit(main())
