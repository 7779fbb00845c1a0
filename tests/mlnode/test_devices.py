"""What the driver's tool tells, read from a tool of that name."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pivot.mlnode import devices as module
from pivot.mlnode.devices import Device, DriverBroken, parse_devices, query_devices

LINES = (
    "0, GPU-aaaa, 81559, 1234, 97, 61, 565.57.01, NVIDIA H100 80GB HBM3",
    "1, GPU-bbbb, 24576, [N/A], [Unknown Error], nan, 565.57.01, Odd, with a comma",
)
H100 = Device(
    index=0,
    uuid="GPU-aaaa",
    name="NVIDIA H100 80GB HBM3",
    memory_total_mib=81_559,
    memory_used_mib=1_234,
    utilisation_percent=97,
    temperature_celsius=61,
    driver="565.57.01",
)
ODD = Device(index=1, uuid="GPU-bbbb", name="Odd, with a comma", memory_total_mib=24_576, driver="565.57.01")

Tool = Callable[[str], None]


@pytest.fixture
def tool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tool:
    """Puts an `nvidia-smi` on the path that runs these lines of a shell."""
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")

    def install(script: str) -> None:
        path = tmp_path / "nvidia-smi"
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    return install


async def test_devices_are_read_from_the_drivers_tool(tool: Tool) -> None:
    tool("\n".join(f"echo '{line}'" for line in LINES))
    assert await query_devices() == [H100, ODD]


async def test_m_item9_the_node_opens_no_cuda_context_to_know_its_devices(tool: Tool, tmp_path: Path) -> None:
    tool(f'echo "$@" > {tmp_path}/asked')
    assert await query_devices() == []
    asked = (tmp_path / "asked").read_text()
    assert asked.startswith("--query-gpu=index,uuid,memory.total,memory.used,")
    code = "import pivot.mlnode.run, sys; sys.exit('torch' in sys.modules)"
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", code)
    assert await process.wait() == 0


async def test_without_the_tool_there_are_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert await query_devices() is None


@pytest.mark.parametrize(
    ("script", "told"),
    [
        ("echo 'No devices were found'", "something unknown: No devices were found"),
        (
            "echo 'Unable to determine the device handle for GPU0: Unknown Error'; exit 255",
            "fails: Unable to determine",
        ),
        ("echo 'no driver' >&2; exit 9", "fails: no driver"),
        ("exit 9", "fails: no reason"),
        ("exec sleep 600", "does not answer within 0.2 s"),
    ],
)
async def test_a_driver_that_fails_is_told(tool: Tool, script: str, told: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "QUERY_TIMEOUT_S", 0.2)
    tool(script)
    with pytest.raises(DriverBroken, match=told):
        await query_devices()


async def test_a_tool_that_cannot_be_run_is_told(tool: Tool, tmp_path: Path) -> None:
    tool("")
    (tmp_path / "nvidia-smi").write_bytes(b"\x7fELF")
    with pytest.raises(DriverBroken, match="cannot be started"):
        await query_devices()


def test_lines_of_another_form_are_refused() -> None:
    with pytest.raises(DriverBroken, match="something unknown"):
        parse_devices("x, GPU-aaaa, 1, 1, 1, 1, 1, name")
    assert parse_devices("\n") == []
