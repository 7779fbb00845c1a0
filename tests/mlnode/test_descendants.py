import asyncio
import signal
import sys

from pivot.mlnode import descendants
from pivot.mlnode.descendants import kill_descendants

CHILD = "import subprocess, sys; p = subprocess.Popen(['sleep', '600'], start_new_session=True); print(p.pid, flush=True); p.wait()"


async def test_children_and_their_children_are_killed_whatever_session_they_are_in() -> None:
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", CHILD, stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    grandchild = int(await process.stdout.readline())
    assert set(descendants._descendants(process.pid)) == {grandchild}
    assert kill_descendants() >= 2
    assert await process.wait() == -signal.SIGKILL
    assert await process.stdout.read() == b""  # the grandchild held it open
    assert kill_descendants() == 0
