"""A sprint and its check with a real ML node as a process of its own."""

import asyncio
import os
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

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


@asynccontextmanager
async def ml_node() -> AsyncIterator[NodeDeclaration]:
    management, inference = free_port(), free_port()
    environment = {
        **os.environ,
        "MLNODE_MANAGEMENT_PORT": str(management),
        "MLNODE_INFERENCE_PORT": str(inference),
        "OPENBLAS_NUM_THREADS": "1",
    }
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", "pivot.mlnode", env=environment)
    try:
        yield NodeDeclaration(
            id="real", host="127.0.0.1", inference_port=inference, poc_port=management, max_concurrent=1
        )
    finally:
        process.terminate()
        await process.wait()


@pytest.mark.timeout(180)
async def test_a_real_ml_node_proves_and_checks(one: Host) -> None:
    async with ml_node() as declaration:
        await one.fleet.put(declaration)
        one.chain.latest = epoch(1)
        one.chain.latest.params.poc_params.max_rate = 100
        await one.phases.at(MARKS.poc_start)
        await until(lambda: one.prover.leaves.count(1, 1) >= 30, PATIENCE_S)
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
        assert (vote.checked, vote.mismatched, vote.verdict) == (20, 0, PocVerdict.POC_VALID)
