"""The Python that computes sprints: the node's own, or another that has torch, as vLLM's does.

Another one needs numpy and, for cards, torch. Pivot it finds behind its own packages, where the node has it: so both sides of
the pipe are always of one version, and nothing has to be installed there.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

SOURCES = Path(__file__).parents[3]
"""The folder that has Pivot; in an installation it has the node's other packages, too."""
RUN_FROM = "import runpy, sys; sys.path.append(sys.argv[1]); runpy.run_module(sys.argv[2], run_name='__main__', alter_sys=True)"
LOOK_FOR_TORCH = "import sys, importlib.util as u; sys.exit(not all(map(u.find_spec, ('numpy', 'torch'))))"
LOOK_TIMEOUT_S = 60.0


def command(python: str, module: str) -> list[str]:
    """Runs one of Pivot's modules in this interpreter."""
    if python == sys.executable:
        return [python, "-m", module]
    return [python, "-P", "-c", RUN_FROM, str(SOURCES), module]


async def has_torch(python: str) -> bool:
    """Whether this interpreter can be run, and has torch and numpy; it is not imported."""
    try:
        looking = await asyncio.create_subprocess_exec(
            python, "-P", "-c", LOOK_FOR_TORCH, stdin=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL
        )
    except OSError:
        return False
    try:
        async with asyncio.timeout(LOOK_TIMEOUT_S):
            return await looking.wait() == 0
    except TimeoutError:
        return False
    finally:
        if looking.returncode is None:
            looking.kill()
            await looking.wait()
