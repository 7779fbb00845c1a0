"""A devnet in the background: `python -m pivot.devnet HOME`, started by `pivot devnet up --detach`."""

import asyncio
import sys
from pathlib import Path

from pivot.chain.exits import EXIT_UPGRADE
from pivot.devnet.plan import DevnetError, load_plan
from pivot.devnet.run import run
from pivot.node.errors import NodeError, UpgradeDue


def main() -> int:
    home = Path(sys.argv[1])
    try:
        asyncio.run(run(load_plan(home), home, None))
    except UpgradeDue as due:
        sys.stderr.write(f"{due}\n")
        return EXIT_UPGRADE
    except (DevnetError, NodeError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
