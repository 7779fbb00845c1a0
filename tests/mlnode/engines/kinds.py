"""The engines that are held to one contract, each with a model that it serves."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest

from pivot.mlnode.devices import Device
from pivot.mlnode.engines.embedded.engine import embedded_planner
from pivot.mlnode.engines.plan import Planner
from pivot.mlnode.engines.serving import ServingEngine
from pivot.mlnode.engines.vllm.engine import vllm_planner
from pivot.protocol.mlnode_api import InferenceUp

LOOPBACK = "127.0.0.1"
FAKE_VLLM = Path(__file__).parent / "fake_vllm"
REAL_VLLM = os.environ.get("MLNODE_VLLM_PYTHON", "")
MODEL = "tests/random-chat"
CPU = {"VLLM_CPU_KVCACHE_SPACE": "1"}


async def no_devices() -> list[Device]:
    return []


@dataclass(frozen=True)
class EngineKind:
    """One engine: how it plans, what it is asked to serve, and what its processes need in their environment."""

    planner: Callable[[Path], Planner]
    up: InferenceUp
    environment: dict[str, str]
    parks: bool = False
    """Whether its weights can be kept."""

    def make(self, session: aiohttp.ClientSession, models: Path) -> ServingEngine:
        """The engine on a free port, with the models of a folder."""
        return ServingEngine(session, self.planner(models), LOOPBACK, free_port())


EMBEDDED = EngineKind(embedded_planner, InferenceUp(model="pivot/tiny-random"), {})
FAKE = EngineKind(
    lambda models: vllm_planner(sys.executable, models, devices=no_devices),
    InferenceUp(model=MODEL),
    {"PYTHONPATH": os.pathsep.join([str(FAKE_VLLM), *filter(None, [os.environ.get("PYTHONPATH")])])},
)
FAKE_ON_A_GPU = EngineKind(
    lambda models: vllm_planner(sys.executable, models, devices=devices(1)), FAKE.up, FAKE.environment, parks=True
)
REAL = EngineKind(
    lambda models: vllm_planner(REAL_VLLM, models, devices=no_devices),
    InferenceUp(model=MODEL, dtype="float32", additional_args=["--max-model-len", "256", "--enforce-eager"]),
    CPU,
)
NEEDS_VLLM = [
    pytest.mark.skipif(not REAL_VLLM, reason="MLNODE_VLLM_PYTHON names no interpreter with vLLM (`make test-vllm`)"),
    pytest.mark.timeout(900),
]
ALL = [
    pytest.param(EMBEDDED, id="embedded"),
    pytest.param(FAKE, id="fake vLLM"),
    pytest.param(FAKE_ON_A_GPU, id="fake vLLM on a GPU"),
    pytest.param(REAL, id="vLLM", marks=NEEDS_VLLM),
]
TRUE_MODELS = [pytest.param(EMBEDDED, id="embedded"), pytest.param(REAL, id="vLLM", marks=NEEDS_VLLM)]
"""Those that compute."""


def devices(count: int, total_mib: int = 80_000, used_mib: int = 100) -> Callable[[], Awaitable[list[Device]]]:
    """What a driver would tell."""

    async def tell() -> list[Device]:
        return [
            Device(
                index=i,
                uuid=f"GPU-{i}{i}{i}{i}",
                name="H100",
                driver="1",
                memory_total_mib=total_mib,
                memory_used_mib=used_mib,
            )
            for i in range(count)
        ]

    return tell


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])
