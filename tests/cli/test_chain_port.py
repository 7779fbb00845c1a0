"""A chain node that is slow, forgetful, or none."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from pivot.cli.chain_port import ChainPort, ChainRefused
from pivot.cli.output import CommandFailed
from tests.chain.chain import Chain, key
from tests.cli.engine import FakeEngine, served

HASH = "AB" * 32


@pytest.fixture
async def engine() -> AsyncIterator[FakeEngine]:
    async with served(Chain({key("alice").address: 5})) as engine:
        yield engine


Ask = Callable[..., Awaitable[Any]]


@pytest.fixture
def ask(engine: FakeEngine) -> Ask:
    async def ask(method: str, *arguments: Any, **options: Any) -> Any:
        return await asyncio.to_thread(getattr(ChainPort(engine.url), method), *arguments, **options)

    return ask


@pytest.mark.parametrize("node", ["localhost:26657", "ftp://localhost", ""])
def test_a_node_is_named_by_its_url(node: str) -> None:
    with pytest.raises(CommandFailed, match="--node"):
        ChainPort(node)


async def test_what_the_chain_tells_of_an_account(ask: Ask) -> None:
    state = await ask("account", key("alice").address)
    assert state.sequence == 0
    with pytest.raises(CommandFailed, match="is not on the chain"):
        await ask("account", key("nobody").address)


async def test_a_transaction_that_the_node_has_already_is_no_failure(
    ask: Ask, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(sentence: str) -> Callable[..., Any]:
        def refuse(**_: Any) -> Any:
            raise EngineRefused(sentence)

        return refuse

    monkeypatch.setattr(engine, "broadcast_tx_sync", refuse("tx already exists in cache"))
    await ask("broadcast", b"tx", checked=True)
    monkeypatch.setattr(engine, "broadcast_tx_sync", refuse("mempool is full"))
    with pytest.raises(CommandFailed, match="mempool is full"):
        await ask("broadcast", b"tx", checked=True)


async def test_a_transaction_that_no_block_takes_is_told(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pivot.cli.chain_port.WAIT_SECONDS", 0.02)
    monkeypatch.setattr("pivot.cli.chain_port.POLL_SECONDS", 0.01)
    with pytest.raises(CommandFailed, match=f"pivot query tx {HASH}"):
        await ask("wait", HASH)
    with pytest.raises(CommandFailed, match="tx not found"):
        await ask("transaction", HASH)
    with pytest.raises(CommandFailed, match="is not the hash"):
        await ask("wait", "zz")


async def test_a_refusal_carries_its_code(ask: Ask) -> None:
    with pytest.raises(ChainRefused, match=r"\(code 2 of sdk\)") as told:
        await ask("broadcast", b"nonsense", checked=True)
    assert told.value.code == 2


class EngineRefused(KeyError):
    """What the engine itself refuses; its sentence is the data of the error."""
