"""podman, with settings under which it works in a container or a small virtual machine, without systemd."""

import os
import subprocess
import tempfile
from pathlib import Path

SETTINGS = """\
[containers]
default_ulimits = ["nofile=4096:4096", "nproc=4096:4096"]
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
[network]
network_backend = "netavark"
"""
NICE = ["nice", "-n", "10"]


def environment() -> dict[str, str]:
    """What podman, and whatever calls it, needs in its environment."""
    path = Path(tempfile.gettempdir()) / "pivot-test-containers.conf"
    path.write_text(SETTINGS)
    return {**os.environ, "CONTAINERS_CONF": str(path)}


def podman(*arguments: str, check: bool = True, timeout: float = 1_800) -> subprocess.CompletedProcess[str]:
    """Run podman at low priority; what it says is captured. Raises RuntimeError with its words."""
    answer = subprocess.run(
        [*NICE, "podman", *arguments], env=environment(), capture_output=True, text=True, timeout=timeout, check=False
    )
    if check and answer.returncode:
        raise RuntimeError(f"podman {' '.join(arguments)} failed:\n{answer.stdout[-2_000:]}\n{answer.stderr[-4_000:]}")
    return answer
