"""The application's process: the state on disk behind the engine's socket."""

import asyncio
import contextlib
import json
import logging
import signal
import sys
from pathlib import Path

import structlog
import uvloop

from pivot.chain.application import Application
from pivot.chain.exits import EXIT_FAILED, EXIT_OK, EXIT_UPGRADE, HALT_FILE
from pivot.chain.modules.upgrade.plans import UpgradeHalt, UpgradeNeeded
from pivot.chain.server.connections import Server
from pivot.chain.server.state_sync import StateSync
from pivot.chain.store.database import Database
from pivot.chain.store.errors import DiskFull, StoreError
from pivot.chain.store.snapshot_taker import SnapshotTaker, snapshot_folder
from pivot.chain.types import STORES

UPGRADE_INFO = Path("data") / "upgrade-info.json"
"""In the home: what the chain waits for, as cosmovisor reads it (its DAEMON_HOME is then this home)."""

_log = structlog.get_logger("chain")


def run(home: Path, socket: Path, snapshot_interval: int = 0, snapshot_keep_recent: int = 1) -> int:
    """Serve the state in `home` on `socket` until SIGTERM or SIGINT. Returns the exit status.

    A snapshot is taken every `snapshot_interval` blocks (0: none), and the newest `snapshot_keep_recent` stay.
    """
    log_json_lines()
    (home / HALT_FILE).unlink(missing_ok=True)
    try:
        with contextlib.ExitStack() as stack:
            database = stack.enter_context(Database.open(home, STORES))
            taker = None
            if snapshot_interval:
                taker = stack.enter_context(SnapshotTaker(home, snapshot_interval, snapshot_keep_recent))
            return uvloop.run(_serve(home, database, taker, socket))
    except DiskFull as error:
        _log.error("the disk is full", error=str(error))
        return EXIT_FAILED
    except UpgradeHalt as error:
        tell_halt(home, error)
        _log.error("the chain waits for another version", error=str(error))
        return EXIT_UPGRADE
    except StoreError as error:
        _log.error("the state cannot be opened", home=str(home), error=str(error))
        return EXIT_FAILED


def tell_halt(home: Path, halt: UpgradeHalt) -> None:
    """Write down why the chain waits, for whoever runs this process, and which upgrade it waits for, for cosmovisor."""
    _write(home / HALT_FILE, f"{halt}\n")
    if isinstance(halt, UpgradeNeeded):
        plan = {"name": halt.name, "time": "0001-01-01T00:00:00Z", "height": halt.height, "info": halt.info}
        _write(home / UPGRADE_INFO, json.dumps(plan))


def _write(path: Path, text: str) -> None:
    """A whole file, or the one that was there before."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_suffix(".new")
    new.write_text(text)
    new.replace(path)


def log_json_lines() -> None:
    """Send the log to stderr, one JSON object a line."""
    structlog.configure(
        processors=[
            structlog.stdlib.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )


async def _serve(home: Path, database: Database, taker: SnapshotTaker | None, socket: Path) -> int:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    _log.info("serving", socket=str(socket), height=database.height, app_hash=database.app_hash.hex())
    application = Application(database, taker)
    state_sync = StateSync(application, database, snapshot_folder(home))
    ended_well = await Server(application, state_sync).serve(socket, stop)
    _log.info("stopped", height=database.height)
    return EXIT_OK if ended_well else EXIT_FAILED
