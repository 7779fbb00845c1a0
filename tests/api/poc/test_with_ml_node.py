"""A sprint and its check with a real ML node as a process of its own."""

import asyncio
import os
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from pivot.api.fleet.declaration import NodeDeclaration
from pivot.protocol.generated.inference.inference.types_pb2 import PocVerdict
from tests.api.fleet.chain import epoch, until
from tests.api.poc.host import Host
from tests.api.poc.test_checker import checked, votes_of
from tests.api.poc.test_prover import BOOKS_CLOSE, MARKS

PATIENCE_S = 60.0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@dataclass
class RealMlNode:
    """A process, and where it listens through all its lives."""

    state_dir: Path
    management: int = field(default_factory=free_port)
    inference: int = field(default_factory=free_port)

    @property
    def declaration(self) -> NodeDeclaration:
        ports = {"inference_port": self.inference, "poc_port": self.management}
        return NodeDeclaration(id="real", host="127.0.0.1", max_concurrent=1, **ports)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[asyncio.subprocess.Process]:
        environment = {
            **os.environ,
            "MLNODE_MANAGEMENT_PORT": str(self.management),
            "MLNODE_INFERENCE_PORT": str(self.inference),
            "MLNODE_STATE_DIR": str(self.state_dir),
            "OPENBLAS_NUM_THREADS": "1",
        }
        process = await asyncio.create_subprocess_exec(sys.executable, "-m", "pivot.mlnode", env=environment)
        try:
            yield process
        finally:
            if process.returncode is None:
                process.terminate()
            await process.wait()


async def begin_sprint(one: Host, node: RealMlNode) -> None:
    """Until the host has the first leaves."""
    await one.fleet.put(node.declaration)
    one.chain.latest = epoch(1)
    one.chain.latest.params.poc_params.max_rate = 100
    await one.phases.at(MARKS.poc_start)
    await until(lambda: one.prover.leaves.count(1, 1) >= 30, PATIENCE_S)


async def own_vote(one: Host) -> tuple[int, int, str]:
    """From the end of the sprint to what the host finds out about its own leaves."""
    await one.phases.at(MARKS.poc_generation_end)
    await until(lambda: one.fleet.nodes()[0].fulfils, PATIENCE_S)
    await one.phases.at(BOOKS_CLOSE)
    await until(lambda: "poc-commit:1" in one.outbox.messages)
    one.include_commit([one.address])
    await one.phases.at(MARKS.poc_exchange_end)
    await until(lambda: checked(one), PATIENCE_S)
    await one.phases.at(MARKS.poc_validation_start)
    await until(lambda: "poc-vote-hash:1" in one.outbox.messages)
    await one.phases.at(MARKS.poc_validation_reveal)
    await until(lambda: "poc-votes:1" in one.outbox.messages)
    (vote,) = votes_of(one).votes
    return vote.checked, vote.mismatched, PocVerdict.Name(vote.verdict)


@pytest.mark.timeout(180)
async def test_a_real_ml_node_proves_and_checks(one: Host, tmp_path: Path) -> None:
    node = RealMlNode(tmp_path / "ml")
    async with node.running():
        await begin_sprint(one, node)
        assert await own_vote(one) == (20, 0, "POC_VALID")


@pytest.mark.timeout(180)
async def test_m_item23_an_ml_node_that_is_killed_in_a_sprint_goes_on_with_what_it_had(
    one: Host, tmp_path: Path
) -> None:
    node = RealMlNode(tmp_path / "ml")
    async with node.running() as process:
        await begin_sprint(one, node)
        process.kill()
    delivered = one.prover.leaves.count(1, 1)
    async with node.running():
        await until(lambda: one.prover.leaves.count(1, 1) >= delivered + 50, PATIENCE_S)
        assert await own_vote(one) == (20, 0, "POC_VALID")
