from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from pivot.doctor import machine, ml_server
from pivot.doctor.finding import Finding, State
from pivot.doctor.ml_server import examine
from pivot.mlnode import devices
from pivot.mlnode.devices import Device
from pivot.mlnode.settings import MlNodeSettings
from pivot.protocol.mlnode_api import Mode
from tests.api.fleet.ml_node import FakeMlNode
from tests.doctor.test_machine import H100


@pytest.fixture(autouse=True)
def _machine(monkeypatch: pytest.MonkeyPatch) -> None:
    async def one_device() -> list[Device]:
        return [H100]

    monkeypatch.setattr(devices, "query_devices", one_device)
    monkeypatch.setattr(machine, "total_memory", lambda: 128 * machine.GIB)
    monkeypatch.setattr(ml_server, "free_bytes", lambda _: 500 * machine.GIB)


@pytest.fixture
async def node() -> AsyncIterator[FakeMlNode]:
    async with FakeMlNode.running(mode=Mode.INFERENCE) as node:
        yield node


async def look(port: int, folder: Path, callback_url: str = "", *, before_start: bool = False) -> dict[str, Finding]:
    settings = MlNodeSettings(management_port=port, inference_port=port, models_dir=folder)
    environment = {"HF_HOME": str(folder)}
    found = await examine(settings, environment, ["Qwen/QwQ-32B"], callback_url, before_start=before_start)
    return {finding.check: finding for finding in found}


async def test_a_running_ml_node(node: FakeMlNode, tmp_path: Path) -> None:
    found = await look(node.port, tmp_path, node.url)
    assert {check: finding.state for check, finding in found.items()} == {
        "disk": State.OK,
        "gpu": State.OK,
        "memory": State.OK,
        "models": State.WRONG,
        f"port {node.port}": State.OK,
        "callback url": State.OK,
    }


async def test_before_the_start_its_ports_must_be_free(node: FakeMlNode, tmp_path: Path) -> None:
    assert (await look(node.port, tmp_path, before_start=True))[f"port {node.port}"].state is State.WRONG
    free = await look(1, tmp_path, "http://127.0.0.1:1", before_start=True)
    assert (free["port 1"].state, free["callback url"].state) == (State.OK, State.WRONG)


async def test_a_broken_driver_is_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken() -> None:
        raise devices.DriverBroken("nvidia-smi fails")

    monkeypatch.setattr(devices, "query_devices", broken)
    assert (await look(1, tmp_path))["gpu"].state is State.WRONG
