"""`python -m pivot.api`: the API node, configured by a file and DAPI_… variables (`settings.py`)."""

import asyncio
import sys

import uvloop

from pivot.api.database import DatabaseUnusable
from pivot.api.fleet.declaration import InvalidNode
from pivot.api.http.admin import OpenAdminPort
from pivot.api.identity import DamagedKey
from pivot.api.listening import CannotListen
from pivot.api.run import run_api
from pivot.api.settings import ApiSettings, InvalidSettings
from pivot.api.tls import UnusableCertificate

EXIT_OK = 0
EXIT_FAILED = 1
EXIT_USAGE = 2


def main() -> int:
    """Run the node. Returns the exit code: 0 after a stop, 1 when it cannot run, 2 for wrong settings."""
    try:
        settings = ApiSettings.load()
    except InvalidSettings as error:
        sys.stderr.write(f"{error}\n")
        return EXIT_USAGE
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(run_api(settings))
    except (OpenAdminPort, UnusableCertificate) as error:
        sys.stderr.write(f"{error}\n")
        return EXIT_USAGE
    except (CannotListen, DamagedKey, DatabaseUnusable, InvalidNode, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return EXIT_FAILED
    return EXIT_OK


if __name__ == "__main__":
    sys.exit(main())
