"""`python -m pivot.mlnode`: the ML node, configured by MLNODE_… variables."""

import sys

import uvloop
from pydantic import ValidationError

from pivot.mlnode.listening import CannotListen
from pivot.mlnode.run import run_mlnode
from pivot.mlnode.settings import MlNodeSettings, sentences
from pivot.mlnode.tls import UnusableCertificate

EXIT_OK = 0
EXIT_FAILED = 1
EXIT_USAGE = 2


def main() -> int:
    """Run the node. Returns the exit code: 0 after a stop, 1 for a failure, 2 for bad settings."""
    try:
        settings = MlNodeSettings()
    except ValidationError as error:
        sys.stderr.write("\n".join([*sentences(error), ""]))
        return EXIT_USAGE
    try:
        uvloop.run(run_mlnode(settings))
    except UnusableCertificate as error:
        sys.stderr.write(f"{error}\n")
        return EXIT_USAGE
    except CannotListen as error:
        sys.stderr.write(f"{error}\n")
        return EXIT_FAILED
    return EXIT_OK


if __name__ == "__main__":
    sys.exit(main())
