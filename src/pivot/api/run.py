"""The API node as a process: started, run until SIGINT or SIGTERM, drained, ended. A second one of the two cuts the drain short.

SIGHUP has it read its settings again.
"""

import asyncio
import logging
import signal
from functools import partial
from typing import Any

from pivot.api import interpreter
from pivot.api.listening import allow_open_files
from pivot.api.logs import configure_logs
from pivot.api.node import ApiNode
from pivot.api.reloading import reload
from pivot.api.settings import ApiSettings

_log = logging.getLogger(__name__)


async def run_api(settings: ApiSettings) -> None:
    """Run an API node until the process is told to end, also while it still waits for its chain node.

    Raises what `ApiNode.start` raises, and `ApiNode.unfit`.
    """
    configure_logs(settings.log_level, settings.log_format)
    allow_open_files()
    interpreter.prepare()
    told = asyncio.Event()
    loop = asyncio.get_running_loop()
    node = ApiNode(settings)

    def end() -> None:
        if told.is_set():
            _log.warning("told to end once more: answers under way are cut off")
            node.hasten()
        told.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, end)
    loop.add_signal_handler(signal.SIGHUP, partial(reload, settings))
    starting, ending = asyncio.create_task(node.start()), asyncio.create_task(told.wait())
    try:
        await asyncio.wait({starting, ending}, return_when=asyncio.FIRST_COMPLETED)
        if starting.done():
            starting.result()
            ends: set[asyncio.Future[Any]] = {ending, node.unfit}
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            if node.unfit.done():
                node.unfit.result()
        _log.info("the node ends")
    finally:
        for task in (starting, ending):
            task.cancel()
        await asyncio.gather(starting, ending, return_exceptions=True)
        await node.close()
        interpreter.forget_what_was_spared()
