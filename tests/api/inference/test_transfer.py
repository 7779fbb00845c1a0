"""A developer's request, from the transfer agent to the drawn executor and back."""

import asyncio
import base64
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import orjson
import pytest
from google.protobuf.message import Message

from pivot.api.inference import artifacts, funds, hop, peers, settlements, transfer
from pivot.api.inference.parts import EVENT_STREAM, JSON, Accepted, Head, Part
from pivot.api.inference.standing import Standings
from pivot.api.ledger.interface import ChainUnavailable
from pivot.primitives import keys
from pivot.primitives.hashes import sha256
from pivot.protocol import signing
from pivot.protocol.generated.inference.inference.tx_pb2 import MsgStartInference
from tests.api.inference.engine import WORDS
from tests.api.inference.network import MODEL, PRICE, Network, moment_at

ANSWER = "".join(WORDS)


@pytest.mark.parametrize("executor", [0, 1])
async def test_a_request_is_answered_by_the_drawn_host_and_settled(network: Network, executor: int) -> None:
    agent, host = network.hosts[0], network.hosts[executor]
    body, headers = network.first_drawn(host)
    reply = await network.post(agent, body, headers)
    assert reply.status == 200, reply.raw
    assert reply.json["choices"][0]["message"]["content"] == ANSWER
    assert reply.json["id"] == headers["Authorization"]
    [start] = await agent.started()
    [finish] = await host.settled()
    assert (start.assigned_to, start.attempt, start.epoch_id) == (host.address, 0, 7)
    assert finish.start == start
    assert finish.executed_by == finish.creator == host.address
    assert (finish.prompt_token_count, finish.completion_token_count) == (4, 6)
    assert finish.response_hash == sha256(ANSWER.encode()).hex()
    key = host.identity.account.public_key
    assert keys.verify(key, signing.finish_sign_bytes(finish), keys.decode_signature(finish.executor_signature))
    accepted = signing.acceptance_sign_bytes(start)
    assert keys.verify(key, accepted, keys.decode_signature(start.acceptance_signature))
    transfer_key = agent.identity.account.public_key
    assert keys.verify(transfer_key, signing.start_sign_bytes(start), keys.decode_signature(start.transfer_signature))
    document = await artifacts.find(host.database, start.inference_id)
    assert document is not None
    assert sha256(document).hex() == finish.artifact_hash
    kept = orjson.loads(document)
    assert kept["request"].encode() == body
    assert kept["token_ids"] == [100, 101, 102, 103, 104, 105]
    assert len(kept["logprobs"]) == 6
    assert len(kept["logprobs"][0][2]) == 5


@pytest.mark.parametrize("executor", [0, 1])
async def test_a_stream_carries_the_inferences_id_in_every_event(network: Network, executor: int) -> None:
    host = network.hosts[executor]
    body, headers = network.first_drawn(host, stream=True)
    reply = await network.post(network.hosts[0], body, headers)
    assert reply.headers["Content-Type"] == "text/event-stream"
    assert {event["id"] for event in reply.events} == {headers["Authorization"]}
    assert "".join(event["choices"][0]["delta"].get("content") or "" for event in reply.events) == ANSWER
    [finish] = await host.settled()
    assert (finish.prompt_token_count, finish.completion_token_count) == (4, 6)


async def test_the_developer_gets_only_what_was_asked_for(network: Network) -> None:
    host = network.hosts[0]
    plain = (await network.post(host, network.body())).json
    assert plain["choices"][0]["logprobs"] is None
    assert "token_ids" not in plain["choices"][0]
    assert "prompt_token_ids" not in plain
    asked = (await network.post(host, network.body(logprobs=True, top_logprobs=2, return_token_ids=True))).json
    assert [len(each["top_logprobs"]) for each in asked["choices"][0]["logprobs"]["content"]] == [2] * 6
    assert asked["choices"][0]["token_ids"]
    assert asked["prompt_token_ids"]
    stream = (await network.post(host, network.body(stream=True))).events
    assert all(event["choices"] and "usage" not in event for event in stream)
    counted = (await network.post(host, network.body(stream=True, stream_options={"include_usage": True}))).events
    assert counted[-1]["usage"]["completion_tokens"] == 6


async def test_the_engine_is_asked_for_what_checking_needs(network: Network) -> None:
    body, headers = network.first_drawn(network.hosts[1])
    await network.post(network.hosts[0], body, headers)
    [told] = network.hosts[1].engine.bodies
    assert (told["logprobs"], told["top_logprobs"], told["return_token_ids"]) == (True, 5, True)
    assert told["max_tokens"] == told["max_completion_tokens"] == 8
    assert isinstance(told["seed"], int)


async def test_a_chosen_seed_is_kept(network: Network) -> None:
    reply = await network.post(network.hosts[0], network.body(seed=42))
    assert reply.status == 200
    assert [body["seed"] for host in network.hosts for body in host.engine.bodies] == [42]


async def test_a17_the_next_drawn_host_answers_when_the_first_is_gone(network: Network) -> None:
    gone = network.hosts[1]
    body, headers = network.first_drawn(gone)
    network.chain.participants[gone.address].inference_url = "http://127.0.0.1:1"
    reply = await network.post(network.hosts[0], body, headers)
    assert reply.status == 200
    [start] = await network.hosts[0].started()
    assert (start.assigned_to, start.attempt) == (network.hosts[0].address, 1)


@pytest.mark.parametrize("fault", ["fails", "hangs", "garbage"])
@pytest.mark.parametrize("stream", [True, False])
async def test_a17_the_next_drawn_host_answers_when_the_first_ones_ml_node_does_not(
    network: Network, fault: str, stream: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if fault == "hangs":
        monkeypatch.setattr("pivot.api.inference.engine.PROBE_AFTER_SECONDS", 0.05)
        monkeypatch.setattr("pivot.api.inference.engine._PROBE_TIMEOUT", aiohttp.ClientTimeout(total=0.05))
    monkeypatch.setattr(hop, "HEARTBEAT_SECONDS", 0.02)
    victim = network.hosts[1]
    victim.engine.fails_with = 500 if fault == "fails" else None
    victim.engine.hangs = fault == "hangs"
    victim.engine.garbage = b'{"choices": 1}' if fault == "garbage" else None
    body, headers = network.first_drawn(victim, stream=stream or None)
    reply = await network.post(network.hosts[0], body, headers)
    assert reply.status == 200, reply.raw
    assert await victim.settled() == []
    [start] = await network.hosts[0].started()
    assert start.assigned_to == network.hosts[0].address
    assert victim.fleet.lost == ([victim.engine.url] if fault == "hangs" else [])
    assert victim.fleet.leased == 0


async def test_a17_a_host_that_failed_a_moment_ago_is_asked_last(network: Network) -> None:
    gone = network.hosts[1]
    url = network.chain.participants[gone.address].inference_url
    network.chain.participants[gone.address].inference_url = "http://127.0.0.1:1"
    body, headers = network.first_drawn(gone)
    assert (await network.post(network.hosts[0], body, headers)).status == 200
    network.chain.participants[gone.address].inference_url = url
    body, headers = network.first_drawn(gone)
    assert (await network.post(network.hosts[0], body, headers)).status == 200
    assert gone.engine.bodies == []
    network.hosts[0].service.transfer._standings = Standings()
    body, headers = network.first_drawn(gone)
    assert (await network.post(network.hosts[0], body, headers)).status == 200
    assert len(gone.engine.bodies) == 1


async def test_a17_an_invalid_host_is_passed_over(network: Network) -> None:
    body, headers = network.first_drawn(network.hosts[1])
    network.chain.participants[network.hosts[1].address].status = 3  # INVALID
    assert (await network.post(network.hosts[0], body, headers)).status == 200
    [start] = await network.hosts[0].started()
    assert start.attempt == 1


async def test_a_busy_host_is_asked_again_with_more_patience(network: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfer, "SHORT_PATIENCE_SECONDS", 0.05)
    for host in network.hosts:
        host.fleet.free.clear()
    asking = asyncio.ensure_future(network.post(network.hosts[0], network.body()))
    await asyncio.sleep(0.3)
    assert not asking.done()
    for host in network.hosts:
        host.fleet.free.set()
    assert (await asking).status == 200


async def test_when_nobody_can_answer_the_error_names_every_host(
    network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    for host in network.hosts:
        host.engine.fails_with = 500
    reply = await network.post(network.hosts[0], network.body())
    assert reply.status == 503
    assert all(host.address in reply.error for host in network.hosts)
    assert reply.headers["Retry-After"]
    for host in network.hosts:
        assert await host.started() == []
        assert await host.settled() == []


@pytest.mark.parametrize("executor", [0, 1])
async def test_what_the_engine_says_against_the_request_is_the_developers_error(
    network: Network, executor: int
) -> None:
    host = network.hosts[executor]
    host.engine.refuses_with = {"object": "error", "message": "too long", "type": "BadRequestError", "code": 400}
    body, headers = network.first_drawn(host)
    reply = await network.post(network.hosts[0], body, headers)
    assert reply.status == 400
    assert reply.json["error"] == {
        "message": "too long",
        "type": "invalid_request_error",
        "param": None,
        "code": "refused_by_engine",
    }
    assert reply.headers["x-pivot-executor"] == host.address
    assert reply.headers["x-pivot-inference-id"] == headers["Authorization"]
    assert float(reply.headers["x-pivot-overhead-ms"]) >= 0
    assert await network.hosts[0].started() == []
    assert await host.settled() == []


async def test_a_node_that_breaks_off_ends_the_stream_with_an_error_event(network: Network) -> None:
    for host in network.hosts:
        host.engine.breaks_after = 3
    reply = await network.post(network.hosts[0], network.body(stream=True))
    assert reply.status == 200
    last = [line for line in reply.raw.split(b"\n\n") if line][-1]
    assert orjson.loads(last.removeprefix(b"data: "))["error"]["code"] == "node_failed"
    finishes = [finish for host in network.hosts for finish in await host.settled()]
    assert [(each.prompt_token_count, each.completion_token_count) for each in finishes] == [(4, 3)]


@pytest.mark.parametrize("executor", [0, 1])
async def test_a_stream_that_stalls_ends_with_an_error_event_and_what_came_is_settled(
    network: Network, executor: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pivot.api.inference.engine._STREAM_TIMEOUT", aiohttp.ClientTimeout(sock_read=0.2))
    host = network.hosts[executor]
    host.engine.stalls_after = 3
    body, headers = network.first_drawn(host, stream=True)
    reply = await network.post(network.hosts[0], body, headers)
    last = [line for line in reply.raw.split(b"\n\n") if line][-1]
    assert orjson.loads(last.removeprefix(b"data: "))["error"]["code"] == "node_failed"
    [finish] = await host.settled()
    assert (finish.prompt_token_count, finish.completion_token_count) == (4, 3)
    assert len(await network.hosts[0].started()) == 1
    assert (host.engine.cancelled, host.fleet.leased) == (1, 0)


async def test_a_host_that_stalls_ends_the_stream_with_an_error_event_and_is_asked_last_from_then_on(
    network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(peers, "_TIMEOUT", aiohttp.ClientTimeout(sock_read=0.2))
    host = network.hosts[1]
    host.engine.stalls_after = 3
    body, headers = network.first_drawn(host, stream=True)
    reply = await network.post(network.hosts[0], body, headers)
    last = [line for line in reply.raw.split(b"\n\n") if line][-1]
    assert orjson.loads(last.removeprefix(b"data: "))["error"]["code"] == "answer_broke_off"
    for _ in range(100):
        if await host.settled():
            break
        await asyncio.sleep(0.02)
    [finish] = await host.settled()
    assert finish.completion_token_count == 3
    body, headers = network.first_drawn(host)
    reply = await network.post(network.hosts[0], body, headers)
    assert reply.headers["x-pivot-executor"] == network.hosts[0].address


async def test_the_quicker_of_the_drawn_hosts_is_asked_first(network: Network) -> None:
    network.hosts[0].engine.pause_s = 0.5
    for host in network.hosts:
        body, headers = network.first_drawn(host, stream=True)
        assert (await network.post(network.hosts[0], body, headers)).headers["x-pivot-executor"] == host.address
    body, headers = network.first_drawn(network.hosts[0])
    reply = await network.post(network.hosts[0], body, headers)
    assert reply.headers["x-pivot-executor"] == network.hosts[1].address


@pytest.mark.parametrize("executor", [0, 1])
async def test_a30_when_the_developer_goes_away_the_engine_stops_and_what_was_produced_is_settled(
    network: Network, executor: int
) -> None:
    host = network.hosts[executor]
    host.engine.pause_s = 0.05
    body, headers = network.first_drawn(host, stream=True)
    async with network.http.post(network.hosts[0].url + "/v1/chat/completions", data=body, headers=headers) as answer:
        async for line in answer.content:
            if b'" is"' in line:
                break
        answer.close()
    for _ in range(100):
        if await host.settled():
            break
        await asyncio.sleep(0.02)
    [finish] = await host.settled()
    assert 3 <= finish.completion_token_count < 6
    assert finish.prompt_token_count == 4
    assert host.engine.cancelled == 1
    assert host.fleet.leased == 0
    assert len(await network.hosts[0].started()) == 1


async def test_an_answer_without_text_is_settled(network: Network) -> None:
    for host in network.hosts:
        host.engine.content = False
    assert (await network.post(network.hosts[0], network.body())).json["choices"][0]["finish_reason"] == "tool_calls"
    [finish] = [finish for host in network.hosts for finish in await host.settled()]
    assert finish.response_hash == sha256(b"").hex()


async def test_a27_the_escrow_and_the_engine_have_the_same_max_tokens(network: Network) -> None:
    reply = await network.post(network.hosts[0], network.body(max_tokens=500, max_completion_tokens=2))
    assert reply.status == 200
    [start] = await network.hosts[0].started()
    [told] = [body for host in network.hosts for body in host.engine.bodies]
    assert start.max_tokens == told["max_tokens"] == told["max_completion_tokens"] == 2


async def test_a28_usage_in_every_event_does_not_make_an_answer_cheap(network: Network) -> None:
    options = {"include_usage": True, "continuous_usage_stats": True}
    reply = await network.post(network.hosts[0], network.body(stream=True, stream_options=options))
    assert reply.events[-1]["usage"]["completion_tokens"] == 6
    [finish] = [finish for host in network.hosts for finish in await host.settled()]
    assert finish.completion_token_count == 6


async def test_a_request_above_the_balance_is_refused_with_the_address(network: Network) -> None:
    network.chain.balances[network.developer.address] = PRICE * 10
    body = network.body()
    reply = await network.post(network.hosts[0], body, network.signed(body, network.hosts[0]))
    assert reply.status == 402
    assert network.developer.address in reply.error
    assert reply.json["error"]["type"] == "insufficient_quota"


async def test_requests_at_the_same_time_cannot_spend_the_same_coins(network: Network) -> None:
    for host in network.hosts:
        host.engine.pause_s = 0.2
    body = network.body()
    escrow = (len(body) + 64 + 8) * PRICE
    network.chain.balances[network.developer.address] = escrow * 5 // 2
    asked = [network.post(network.hosts[0], body, network.signed(body, network.hosts[0])) for _ in range(4)]
    replies = await asyncio.gather(*asked)
    assert sorted(reply.status for reply in replies) == [200, 200, 402, 402]
    refused = next(reply for reply in replies if reply.status == 402)
    assert f"{2 * escrow} are set aside" in refused.error
    for blocks, status in ((funds.HOLD_BLOCKS - 1, 402), (funds.HOLD_BLOCKS, 200)):
        for host in network.hosts:
            await host.phases.set(moment_at(height=1000 + blocks))
        reply = await network.post(network.hosts[0], body, network.signed(body, network.hosts[0]))
        assert reply.status == status


async def test_what_a_failed_request_set_aside_is_free_at_once(network: Network) -> None:
    body = network.body()
    network.chain.balances[network.developer.address] = (len(body) + 64 + 8) * PRICE
    for host in network.hosts:
        host.engine.fails_with = 500
    reply = await network.post(network.hosts[0], body, network.signed(body, network.hosts[0]))
    assert reply.status == 503
    for host in network.hosts:
        host.engine.fails_with = None
    assert (await network.post(network.hosts[0], body, network.signed(body, network.hosts[0]))).status == 200


async def test_an_empty_gateway_account_is_named(network: Network) -> None:
    gateway = network.hosts[0].identity.gateway.address
    network.chain.balances[gateway] = 0
    reply = await network.post(network.hosts[0], network.body())
    assert reply.status == 402
    assert gateway in reply.error


async def test_the_gateway_does_not_pay_for_developers_who_sign_themselves(network: Network) -> None:
    network.chain.balances[network.developer.address] = 0
    body = network.body()
    assert (await network.post(network.hosts[0], body, network.signed(body, network.hosts[0]))).status == 402


async def test_an_unknown_model_is_not_found(network: Network) -> None:
    reply = await network.post(network.hosts[0], network.body(model="no/such"))
    assert reply.status == 404
    assert reply.json["error"]["code"] == "model_not_found"
    assert "no/such" in reply.error


async def test_a_model_that_nobody_serves_now_is_unavailable(network: Network) -> None:
    del network.chain.groups[7, MODEL]
    reply = await network.post(network.hosts[0], network.body())
    assert reply.status == 503
    assert "no host serves" in reply.error


async def test_a_node_that_catches_up_says_so(network: Network) -> None:
    network.hosts[0].phases.moment = None
    reply = await network.post(network.hosts[0], network.body())
    assert reply.status == 503
    assert "catching up" in reply.error


async def test_the_id_is_the_developers_signature(network: Network) -> None:
    reply = await network.post(network.hosts[0], network.body())
    assert len(base64.b64decode(reply.json["id"])) == 64


@pytest.mark.parametrize("stream", [True, False])
async def test_an_executor_that_dies_in_its_answer_is_told_from_one_that_ended(
    network: Network, stream: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    dying = network.hosts[1]

    async def answer(_: object, start: MsgStartInference, __: float) -> AsyncIterator[Part]:
        yield Accepted(dying.identity.account.sign_base64(signing.acceptance_sign_bytes(start)))
        yield Head(200, EVENT_STREAM) if stream else Head(200, JSON, 100)
        yield b"data: {}\n\n"
        raise RuntimeError

    monkeypatch.setattr(dying.service.execution, "answer", answer)
    body, headers = network.first_drawn(dying, stream=stream)
    if stream:
        reply = await network.post(network.hosts[0], body, headers)
        events = [event for event in reply.raw.split(b"\n\n") if event]
        assert orjson.loads(events[-1].removeprefix(b"data: "))["error"]["code"] == "answer_broke_off"
    else:
        with pytest.raises(aiohttp.ClientError):
            await network.post(network.hosts[0], body, headers)
    monkeypatch.undo()
    assert (await network.post(network.hosts[0], network.body())).status == 200


async def test_a_host_whose_url_cannot_be_looked_up_is_passed_over(
    network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(address: str) -> None:
        raise ChainUnavailable("away")

    monkeypatch.setattr(network.hosts[0].service.market, "host", away)
    body, headers = network.first_drawn(network.hosts[1])
    assert (await network.post(network.hosts[0], body, headers)).status == 200


async def test_what_cannot_be_recorded_for_a_while_is_recorded_after_it(
    network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settlements, "PAUSES_SECONDS", (0.01, 0.01, 0.01))
    full: list[int] = []

    for host in network.hosts:
        put = host.outbox.put

        async def later(key: str, message: Message, put: Any = put, **rest: Any) -> None:
            full.append(1)
            if len(full) < 4:
                raise OSError("no space left on device")
            await put(key, message, **rest)

        monkeypatch.setattr(host.outbox, "put", later)
    assert (await network.post(network.hosts[0], network.body(stream=True))).status == 200
    await asyncio.sleep(0.1)
    assert len([message for host in network.hosts for message in host.outbox.entries.values()]) == 2


@pytest.mark.parametrize(("executor", "stream"), [(0, False), (0, True), (1, False), (1, True)])
async def test_a_start_goes_alone_where_its_finish_comes_later_or_from_another_host(
    network: Network, executor: int, stream: bool
) -> None:
    agent, host = network.hosts[0], network.hosts[executor]
    body, headers = network.first_drawn(host, stream=stream)
    assert (await network.post(agent, body, headers)).status == 200
    [finish] = await host.settled()
    [start] = await agent.started()
    assert finish.start.SerializeToString(deterministic=True) == start.SerializeToString(deterministic=True)
    alone = agent.outbox.of_kind(MsgStartInference)
    assert alone == ([] if host is agent and not stream else [start])


async def test_an_answer_that_cannot_be_recorded_is_still_the_developers(
    network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def full(*_: object, **__: object) -> None:
        raise OSError("no space left on device")

    for host in network.hosts:
        monkeypatch.setattr(host.outbox, "put", full)
    assert (await network.post(network.hosts[0], network.body())).status == 200
    for host in network.hosts:
        assert await host.started() == await host.settled() == []
