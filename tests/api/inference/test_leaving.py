"""Developers who leave before a whole answer has come: the engine stops where it can, and what it has answered is paid for."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import orjson
import pytest

from pivot.api.inference import artifacts
from pivot.api.inference.request import CHAT_PATH, EMBEDDINGS_PATH
from pivot.primitives.hashes import sha256
from pivot.protocol.generated.inference.inference.tx_pb2 import MsgStartInference
from tests.api.inference.engine import WORDS
from tests.api.inference.network import API_KEY, EPOCH, MODEL, Host, Network

LONG = 100
"""Tokens that make an answer one that is put together from a stream."""
TOOLS = [{"type": "function", "function": {"name": "f", "parameters": {}}}]


async def until(true: Callable[[], Awaitable[Any]]) -> Any:
    for _ in range(500):
        if found := await true():
            return found
        await asyncio.sleep(0.02)
    raise AssertionError("it never came")


async def leave(network: Network, body: bytes, headers: dict[str, str], words: int = 0, path: str = CHAT_PATH) -> None:
    """Ask, and go when an engine has the question, and has answered with so many words."""
    asking = asyncio.ensure_future(network.post(network.hosts[0], body, headers, path))

    async def begun() -> bool:
        return any(host.engine.bodies and host.engine.told >= words for host in network.hosts)

    await until(begun)
    await asyncio.sleep(0.1)  # all that was said is read
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)


async def goes_on(host: Host) -> None:
    """Its engine is still at work, though all that a client who leaves sets off has happened."""
    await asyncio.sleep(0.1)
    assert (len(host.engine.bodies), host.engine.cancelled, host.fleet.leased) == (1, 0, 1)


async def stopped(host: Host) -> int:
    """Answers that its engine was told to leave."""
    return host.engine.cancelled


@pytest.mark.parametrize("executor", [0, 1])
async def test_a30_who_leaves_a_whole_answer_stops_the_engine_and_pays_for_what_it_has_answered(
    network: Network, executor: int
) -> None:
    host = network.hosts[executor]
    host.engine.stalls_after = 3
    body, headers = network.first_drawn(host, max_tokens=LONG)
    await leave(network, body, headers, words=3)
    [finish] = await until(host.settled)
    assert finish.completion_token_count == 3
    assert finish.prompt_token_count == 4
    text = "".join(WORDS[: finish.completion_token_count])
    assert finish.response_hash == sha256(text.encode()).hex()
    document = orjson.loads(await artifacts.find(host.database, finish.inference_id) or b"")
    assert document["content"] == text
    assert len(document["logprobs"]) == len(document["token_ids"]) == finish.completion_token_count
    assert (host.engine.cancelled, host.fleet.leased) == (1, 0)
    assert finish.start.acceptance_signature
    assert network.hosts[0].outbox.of_kind(MsgStartInference) == []  # the finish embeds it


async def test_a30_a_key_is_charged_for_an_answer_that_was_left(network: Network) -> None:
    for host in network.hosts:
        host.engine.stalls_after = 3
    await leave(network, network.body(max_tokens=LONG), {"Authorization": f"Bearer {API_KEY}"}, words=3)

    async def finishes() -> list[Any]:
        return [finish for host in network.hosts for finish in await host.settled()]

    [finish] = await until(finishes)
    service = network.hosts[0].service
    assert set(service._charges._open) == {finish.inference_id}
    [charge] = service._charges._open.values()
    assert charge.key.held == charge.escrow > 0


@pytest.mark.parametrize("executor", [0, 1])
@pytest.mark.parametrize("fields", [{"tools": TOOLS, "max_tokens": LONG}, {"max_tokens": 8}], ids=["tools", "short"])
async def test_a30_an_answer_that_was_asked_for_whole_is_finished_and_paid_in_full(
    network: Network, executor: int, fields: dict[str, Any]
) -> None:
    host = network.hosts[executor]
    host.engine.held = asyncio.Event()
    body, headers = network.first_drawn(host, **fields)
    await leave(network, body, headers)
    await goes_on(host)
    assert not host.engine.bodies[0].get("stream")
    host.engine.held.set()
    [finish] = await until(host.settled)
    assert (finish.prompt_token_count, finish.completion_token_count) == (4, len(WORDS))
    assert (host.engine.cancelled, host.fleet.leased) == (0, 0)


async def held_choices(network: Network, count: int) -> asyncio.Task[Any]:
    """A request with a key for so many short answers; the engines hold back what they were asked."""
    for host in network.hosts:
        host.engine.held = asyncio.Event()
    body, headers = network.body(n=count), {"Authorization": f"Bearer {API_KEY}"}
    return asyncio.ensure_future(network.post(network.hosts[0], body, headers))


async def let_go(network: Network) -> list[Any]:
    """Finishes, once the engines have given what they held back."""
    for host in network.hosts:
        host.engine.held.set()  # type: ignore[union-attr]  # held_choices has set it
    await until(lambda: none_lent(network))
    return [finish for host in network.hosts for finish in await host.settled()]


async def asked(network: Network) -> int:
    return sum(len(host.engine.bodies) for host in network.hosts)


async def none_lent(network: Network) -> bool:
    return not any(host.fleet.leased for host in network.hosts)


async def test_a30_who_leaves_several_short_answers_pays_for_all(network: Network) -> None:
    network.chain.form_group(EPOCH, {network.hosts[0].address: 10})  # another executor would go on by itself
    asking = await held_choices(network, 3)
    while await asked(network) < 3:
        await asyncio.sleep(0.02)
    await asyncio.sleep(0.1)
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    await asyncio.sleep(0.1)
    assert sum(host.fleet.leased for host in network.hosts) == 3
    assert [finish.completion_token_count for finish in await let_go(network)] == [len(WORDS)] * 3
    assert not any(host.engine.cancelled for host in network.hosts)


async def test_a30_vectors_that_nobody_waits_for_are_paid_in_full(network: Network) -> None:
    network.chain.groups[EPOCH, MODEL].model_snapshot.model_args.extend(["--runner", "pooling", "--convert", "embed"])
    body = orjson.dumps({"model": MODEL, "input": "An epoch"})
    for host in network.hosts:
        host.engine.held = asyncio.Event()
    await leave(network, body, network.signed(body, network.hosts[0]), path=EMBEDDINGS_PATH)
    [host] = [host for host in network.hosts if host.engine.bodies]
    await goes_on(host)
    host.engine.held.set()  # type: ignore[union-attr]
    [finish] = await until(host.settled)
    assert finish.prompt_token_count == 4
    assert (host.engine.cancelled, host.fleet.leased) == (0, 0)


@pytest.mark.parametrize("executor", [0, 1])
async def test_nobody_pays_or_is_blamed_for_an_answer_that_had_not_begun(network: Network, executor: int) -> None:
    host = network.hosts[executor]
    host.engine.hangs = True
    body, headers = network.first_drawn(host, max_tokens=LONG)
    await leave(network, body, headers)

    await until(lambda: stopped(host))
    assert await host.settled() == []
    assert await network.hosts[0].started() == []
    assert host.fleet.leased == 0


async def test_an_answer_that_nobody_waits_for_goes_to_the_next_host_when_its_node_fails(network: Network) -> None:
    host, other = network.hosts
    host.engine.held = asyncio.Event()
    host.engine.breaks_whole = True
    body, headers = network.first_drawn(host)
    await leave(network, body, headers)
    await goes_on(host)
    host.engine.held.set()
    [finish] = await until(other.settled)
    assert finish.completion_token_count == len(WORDS)
    assert set(host.fleet.lost) == {host.engine.url}
    assert await host.settled() == []
    assert (host.fleet.leased, other.fleet.leased) == (0, 0)


async def test_a_node_that_ends_cuts_off_what_nobody_waits_for(network: Network) -> None:
    host = network.hosts[0]
    host.engine.held = asyncio.Event()
    body, headers = network.first_drawn(host)
    await leave(network, body, headers)
    await goes_on(host)
    for task in host.server.server_state.tasks:
        task.cancel()
    async with asyncio.timeout(5):
        await until(lambda: stopped(host))
    assert await host.settled() == []
    assert host.fleet.leased == 0


@pytest.mark.parametrize("fault", ["breaks_after", "stalls_after"])
async def test_a17_a_node_that_breaks_a_whole_answer_off_leaves_it_to_the_next_host(
    network: Network, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pivot.api.inference.engine._STREAM_TIMEOUT", aiohttp.ClientTimeout(sock_read=0.2))
    victim = network.hosts[1]
    setattr(victim.engine, fault, 3)
    body, headers = network.first_drawn(victim, max_tokens=LONG)
    reply = await network.post(network.hosts[0], body, headers)
    assert reply.json["choices"][0]["message"]["content"] == "".join(WORDS)
    assert await victim.settled() == []
    [finish] = await network.hosts[0].settled()
    assert finish.completion_token_count == len(WORDS)
    assert victim.fleet.lost == [victim.engine.url]


@pytest.mark.parametrize("completion", [False, True], ids=["chat", "completion"])
@pytest.mark.parametrize("asked", [{}, {"logprobs": True}, {"return_token_ids": True}], ids=str)
async def test_an_assembled_answer_is_the_one_that_would_have_come_whole(
    network: Network, completion: bool, asked: dict[str, Any]
) -> None:
    path = "/v1/completions" if completion else CHAT_PATH
    answers = []
    for max_tokens in (LONG, 8):
        fields: dict[str, Any] = {"max_tokens": max_tokens, **asked}
        if completion and "logprobs" in asked:
            fields["logprobs"] = 3
        body = network.completion(**fields) if completion else network.body(**fields)
        answers.append((await network.post(network.hosts[0], body, path=path)).json)
    told = [body for host in network.hosts for body in host.engine.bodies]
    assert sorted(bool(body.get("stream")) for body in told) == [False, True]
    for answer in answers:
        del answer["id"]
    assert answers[0] == answers[1]
