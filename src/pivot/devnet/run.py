"""Run a devnet in this process until it is told to stop: with a screen at a terminal, silently in the background."""

import asyncio
import contextlib
import signal
from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from rich.live import Live

from pivot.devnet.network import Network, end_orphans
from pivot.devnet.plan import DevnetError, Plan
from pivot.devnet.screen import first_requests, render
from pivot.devnet.status import ask

SCREEN_SECONDS = 1.0


async def run(plan: Plan, home: Path, console: Console | None) -> None:
    """Bring the network up and keep it up until SIGINT or SIGTERM, or until the chain waits for another version.

    Raises DevnetError if it does not come up, UpgradeDue, and what Network raises.
    """
    end_orphans(home)
    say: Callable[[str], None] = console.print if console else lambda _: None
    network = Network(plan, home, say)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    network.start()
    ready = asyncio.create_task(network.wait_ready())
    stopped = asyncio.create_task(stop.wait())
    halted = asyncio.create_task(network.halted.wait())
    screen = asyncio.create_task(_screen(plan, home, console, ready)) if console else None
    try:
        await asyncio.wait({ready, stopped, halted}, return_when=asyncio.FIRST_COMPLETED)
        if ready.done():
            ready.result()
        await asyncio.wait({stopped, halted}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (ready, stopped, halted, screen):
            if task is not None:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError, DevnetError):
                    await task
        await network.stop()


async def _screen(plan: Plan, home: Path, console: Console, ready: "asyncio.Task[None]") -> None:
    """Draw the screen once a second; where there is no terminal, say once what to do."""
    if not console.is_terminal:
        await asyncio.wait({ready})
        console.print("The network is ready.", *first_requests(plan), sep="\n\n", soft_wrap=True)
        return
    with Live(console=console, screen=False, auto_refresh=False, transient=True) as live:
        while True:
            with contextlib.suppress(DevnetError):
                live.update(render(plan, home, await ask(home, plan), ready=ready.done()), refresh=True)
            await asyncio.sleep(SCREEN_SECONDS)
