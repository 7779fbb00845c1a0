"""Bad input on the chat route: a clear OpenAI error, and nothing lost or locked."""

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest

from pivot.api.http import body as bodies
from pivot.api.http import openai
from pivot.api.http.openai import QuestionEndpoint
from pivot.api.inference import hop, peers
from pivot.api.inference.used_signatures import Role
from pivot.api.ledger.interface import ChainUnavailable
from pivot.primitives import keys
from pivot.protocol import pricing, signing
from tests.api.inference.network import (
    API_KEY,
    BLOCK_TIME_NS,
    CONTEXT_WINDOW,
    MODEL,
    PRICE,
    Host,
    Network,
    running_host,
)
from tests.api.serving import serving
from tests.vectors import load_vectors

SECOND = 10**9
KEY = {"Authorization": f"Bearer {API_KEY}"}


def require_openai_error(reply: Any, status: int) -> None:
    assert reply.status == status, reply.raw
    assert set(reply.json["error"]) == {"message", "type", "param", "code"}


async def require_still_answers(network: Network) -> None:
    assert (await network.post(network.hosts[0], network.body())).status == 200


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b"{", None),
        (b"[]", None),
        (b"\xff", None),
        ({"messages": []}, "model"),
        ({"model": 3, "messages": []}, "model"),
        ({"model": "m" * 257, "messages": []}, "model"),
        ({"model": MODEL}, "messages"),
        ({"model": MODEL, "messages": ["hello"]}, "messages[0]"),
        ({"model": MODEL, "messages": [{"role": "user", "content": 7}]}, "messages[0].content"),
        (
            {"model": MODEL, "messages": [{"role": "user", "content": [{"type": "image_url", "text": "x"}]}]},
            "messages[0].content",
        ),
        *(
            ({"model": MODEL, "messages": [{"role": "user", "content": [part]}]}, "messages[0].content")
            for part in (
                "text",
                {"type": ["text"]},
                {"type": "text", "text": 5},
                {"type": "video", "video": "data:video/mp4;base64,AAAA"},
                {"type": "input_audio", "input_audio": {"format": "wav"}},
                {"type": "image_url", "image_url": {"url": "http://169.254.169.254/latest/meta-data"}},
                {"type": "image_url", "image_url": "file:///etc/passwd"},
                {"type": "image_url", "image_url": "data:image/png;base64,AAAA", "uuid": "another's picture"},
            )
        ),
        ({"model": MODEL, "messages": [], "stream": "yes"}, "stream"),
        ({"model": MODEL, "messages": [], "stream_options": [1]}, "stream_options"),
        ({"model": MODEL, "messages": [], "max_tokens": 0}, "max_tokens"),
        ({"model": MODEL, "messages": [], "max_tokens": -5}, "max_tokens"),
        ({"model": MODEL, "messages": [], "max_tokens": 2.5}, "max_tokens"),
        ({"model": MODEL, "messages": [], "max_tokens": True}, "max_tokens"),
        ({"model": MODEL, "messages": [], "max_completion_tokens": 10**18}, "max_completion_tokens"),
        ({"model": MODEL, "messages": [], "top_logprobs": 20}, "top_logprobs"),
        ({"model": MODEL, "messages": []}, "messages"),
        ({"model": MODEL, "messages": [], "top_logprobs": 2}, "top_logprobs"),
        ({"model": MODEL, "messages": [], "functions": [{"name": "f"}]}, "functions"),
        ({"model": MODEL, "messages": [], "n": 9}, "n"),
        ({"model": MODEL, "messages": [], "n": 0}, "n"),
        ({"model": MODEL, "messages": [], "n": [1]}, "n"),
        ({"model": MODEL, "messages": [], "n": True}, "n"),
        ({"model": MODEL, "messages": [], "seed": "seven"}, "seed"),
        ({"model": MODEL, "messages": [], "prompt_logprobs": 0}, "prompt_logprobs"),
        ({"model": MODEL, "messages": [], "chat_template": "{% for i in range(9**9) %}x{% endfor %}"}, "chat_template"),
        ({"model": MODEL, "messages": [], "chat_template_kwargs": {"chat_template": "x"}}, "chat_template_kwargs"),
        ({"model": MODEL, "messages": [], "chat_template_kwargs": {"messages": []}}, "chat_template_kwargs"),
        ({"model": MODEL, "messages": [], "chat_template_kwargs": 1}, "chat_template_kwargs"),
        (b'{"model": "m", "messages": [], "user": ' + b"[" * 300 + b"]" * 300 + b"}", None),
        ({"model": MODEL, "messages": [], "use_beam_search": True}, "use_beam_search"),
    ],
)
async def test_a_malformed_body_is_refused_with_the_field(network: Network, body: Any, field: str | None) -> None:
    raw = body if isinstance(body, bytes) else orjson.dumps(body)
    reply = await network.post(network.hosts[0], raw)
    require_openai_error(reply, 400)
    assert reply.json["error"]["param"] == field
    await require_still_answers(network)


async def test_switches_of_the_models_template_are_taken(network: Network) -> None:
    body = network.body(chat_template_kwargs={"enable_thinking": False}, use_beam_search=False, documents=[], n=1)
    assert (await network.post(network.hosts[0], body)).status == 200


async def test_a_body_whose_prompt_the_chain_would_not_record_is_refused_whatever_the_settings_say(
    network: Network, tmp_path: Path
) -> None:
    longest = pricing.MAX_TOKENS_PER_REQUEST - 64
    async with running_host(tmp_path / "roomy", network.chain, [], max_request_bytes=10 * 2**20) as host:
        require_openai_error(await network.post(host, b" " * (longest + 1)), 413)
        require_openai_error(await network.post(host, b" " * longest), 400)


async def test_parts_are_passed_on_and_media_cost_at_most_the_context(network: Network) -> None:
    content = [
        {"type": "text", "text": "Hello"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA", "detail": "low"}},
        {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}},
    ]
    messages = [{"role": "user", "content": content}]
    assert (await network.post(network.hosts[0], network.body(messages=messages))).status == 200
    [told] = [body for host in network.hosts for body in host.engine.bodies]
    assert told["messages"] == messages
    [start] = await network.hosts[0].started()
    assert start.prompt_token_count == CONTEXT_WINDOW


async def test_what_is_not_known_here_is_passed_on(network: Network) -> None:
    fields: dict[str, Any] = {
        "stop": ["."],
        "tools": [{"type": "function"}],
        "response_format": {"type": "json_object"},
        "min_p": 0.1,
    }
    assert (await network.post(network.hosts[0], network.body(**fields, seed=7))).status == 200
    [told] = [body for host in network.hosts for body in host.engine.bodies]
    assert {name: told[name] for name in fields} == fields
    assert told["seed"] == 7


@pytest.mark.parametrize("executor", [0, 1])
@pytest.mark.parametrize("stream", [True, False])
async def test_an_answer_says_who_gave_it_and_what_this_host_added(
    network: Network, executor: int, stream: bool
) -> None:
    host = network.hosts[executor]
    host.engine.pause_s = 0.2
    body, headers = network.first_drawn(host, stream=stream)
    reply = await network.post(network.hosts[0], body, {**headers, "X-Request-Id": "my-request.7"})
    assert reply.headers["x-request-id"] == "my-request.7"
    assert reply.headers["x-pivot-executor"] == host.address
    assert reply.headers["x-pivot-inference-id"] == headers["Authorization"]
    assert 0 < float(reply.headers["x-pivot-overhead-ms"]) < 200


@pytest.mark.parametrize("given", [None, "", "a b", "x" * 129, "<script>"])
async def test_a_request_without_a_good_name_gets_one_also_when_it_is_refused(
    network: Network, given: str | None
) -> None:
    headers = {} if given is None else {"X-Request-Id": given}
    replies = [await network.post(network.hosts[0], network.body(), {**headers, **extra}) for extra in ({}, KEY)]
    names = {reply.headers["x-request-id"] for reply in replies}
    assert [reply.status for reply in replies] == [401, 200]
    assert len(names) == 2
    assert all(name.startswith("req-") for name in names)


@pytest.mark.parametrize(
    "headers",
    [{}, {"Authorization": "Bearer wrong"}, {"Authorization": "Bearer "}, {"Authorization": "c2lnbmF0dXJl"}],
)
async def test_a_request_without_good_credentials_is_refused(network: Network, headers: dict[str, str]) -> None:
    require_openai_error(await network.post(network.hosts[0], network.body(), headers), 401)


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"Authorization": "bm9uZQ=="}, 401),
        ({"X-Requester-Address": "gonka1nonsense"}, 401),
        ({"X-Timestamp": "5"}, 400),
    ],
)
async def test_a_body_is_not_read_for_credentials_that_cannot_be_good(
    network: Network, changes: dict[str, str], status: int
) -> None:
    async def endless() -> AsyncIterator[bytes]:
        yield b"{"
        await asyncio.sleep(0.3)

    host = network.hosts[0]
    headers = {**network.signed(b"", host), **changes}
    async with network.http.post(host.url + "/v1/chat/completions", data=endless(), headers=headers) as answer:
        assert answer.status == status


async def test_bodies_under_way_share_a_bounded_room(network: Network) -> None:
    host = network.hosts[0]
    host.endpoint._shelf = bodies.Shelf(50_000)
    held = asyncio.Event()

    async def slow() -> AsyncIterator[bytes]:
        yield b" " * 40_000
        await held.wait()

    url = host.url + "/v1/chat/completions"
    first = asyncio.ensure_future(network.http.post(url, data=slow(), headers=KEY))
    await asyncio.sleep(0.1)
    body = network.body("x" * 20_000)
    require_openai_error(await network.post(host, body), 429)
    held.set()
    (await first).close()
    assert (await network.post(host, body)).status == 200


@pytest.mark.parametrize("declared", [True, False])
async def test_an_oversized_body_is_refused(network: Network, declared: bool) -> None:
    host = network.hosts[0]

    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(70):
            yield b" " * 1024

    data = b" " * 70_000 if declared else pieces()
    async with network.http.post(host.url + "/v1/chat/completions", data=data, headers=KEY) as answer:
        assert answer.status == 413
        assert (await answer.json())["error"]["code"] == "body_too_large"
    await require_still_answers(network)


async def test_a_body_that_never_ends_is_given_up(network: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "BODY_SECONDS", 0.05)

    async def pieces() -> AsyncIterator[bytes]:
        yield b"{"
        await asyncio.sleep(0.5)

    async with network.http.post(network.hosts[0].url + "/v1/chat/completions", data=pieces(), headers=KEY) as answer:
        assert answer.status == 400
        assert "not whole" in (await answer.json())["error"]["message"]


async def test_a_signature_over_another_body_is_refused(network: Network) -> None:
    host = network.hosts[0]
    reply = await network.post(host, network.body("other"), network.signed(network.body(), host))
    require_openai_error(reply, 401)
    assert "Unable to validate request against PubKey" in reply.error


async def test_a_signature_for_another_transfer_agent_is_refused(network: Network) -> None:
    body = network.body()
    require_openai_error(await network.post(network.hosts[0], body, network.signed(body, network.hosts[1])), 401)


@pytest.mark.parametrize("with_time", [True, False])
async def test_the_older_form_of_signature_is_recognised_and_refused(network: Network, with_time: bool) -> None:
    host, body = network.hosts[0], network.body()
    headers = network.signed(body, host)
    tail = f"{headers['X-Timestamp']}{host.address}".encode() if with_time else b""
    headers["Authorization"] = network.developer.sign_base64(body + tail)
    reply = await network.post(host, body, headers)
    require_openai_error(reply, 401)
    assert "older form" in reply.error


@pytest.mark.parametrize(
    ("name", "value", "status"),
    [
        ("X-Requester-Address", "", 401),
        ("X-Requester-Address", "gonka1nonsense", 401),
        ("X-Timestamp", "yesterday", 400),
        ("X-Timestamp", "-5", 400),
        ("X-Timestamp", "9" * 40, 400),
    ],
)
async def test_a_wrong_header_is_refused(network: Network, name: str, value: str, status: int) -> None:
    body = network.body()
    headers = {**network.signed(body, network.hosts[0]), name: value}
    require_openai_error(await network.post(network.hosts[0], body, headers), status)


@pytest.mark.parametrize(("offset", "sentence"), [(-61, "is too old"), (31, "is in the future")])
async def test_a_time_stamp_outside_the_window_is_refused(network: Network, offset: int, sentence: str) -> None:
    body = network.body()
    headers = network.signed(body, network.hosts[0], BLOCK_TIME_NS + offset * SECOND)
    reply = await network.post(network.hosts[0], body, headers)
    require_openai_error(reply, 400)
    assert f"Request timestamp {sentence}" in reply.error


@pytest.mark.parametrize("drift_s", [-1000, 0, 1000])
async def test_the_gateways_stamps_are_good_whatever_this_machines_clock_says(network: Network, drift_s: int) -> None:
    access = network.hosts[0].service.access
    access._wall_clock_ns = lambda: BLOCK_TIME_NS + drift_s * SECOND
    access._last_stamp = 0
    replies = [await network.post(network.hosts[0], network.body()) for _ in range(3)]
    assert [reply.status for reply in replies] == [200] * 3
    starts = await network.hosts[0].started()
    assert all(host.breaker.failures == 0 for host in network.hosts[0].service.transfer._standings._hosts.values())
    assert len({start.request_timestamp for start in starts}) == 3


async def test_a31_a_used_signature_is_refused_also_at_the_same_moment(network: Network) -> None:
    body = network.body()
    headers = network.signed(body, network.hosts[0])
    replies = await asyncio.gather(*(network.post(network.hosts[0], body, headers) for _ in range(5)))
    assert sorted(reply.status for reply in replies) == [200, 400, 400, 400, 400]
    refused = next(reply for reply in replies if reply.status == 400)
    assert refused.error == "AuthKey has already been used for a transfer request"


async def test_a_request_that_was_refused_does_not_burn_its_signature(network: Network) -> None:
    host, body = network.hosts[0], network.body()
    headers = network.signed(body, host)
    network.chain.balances[network.developer.address] = 0
    assert (await network.post(host, body, headers)).status == 402
    network.chain.balances[network.developer.address] = 10**9
    assert (await network.post(host, body, headers)).status == 200


async def test_requests_wait_for_their_turn(network: Network) -> None:
    host = network.hosts[0]
    for each in network.hosts:
        each.engine.pause_s = 0.1
    async with serving(QuestionEndpoint(host.service, max_transfers=1)) as url:
        narrow = replace(host, url=url)
        replies = await asyncio.gather(*(network.post(narrow, network.body()) for _ in range(3)))
    assert [reply.status for reply in replies] == [200] * 3


async def test_a_request_that_waits_too_long_may_come_back(network: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openai, "LONGEST_WAIT_SECONDS", 0.05)
    host = network.hosts[0]
    for each in network.hosts:
        each.engine.pause_s = 0.5
    async with serving(QuestionEndpoint(host.service, max_transfers=1)) as url:
        narrow = replace(host, url=url)
        replies = await asyncio.gather(*(network.post(narrow, network.body()) for _ in range(2)))
    assert sorted(reply.status for reply in replies) == [200, 503]
    assert all(reply.headers["Retry-After"] for reply in replies if reply.status == 503)


async def test_a32_too_many_requests_at_once_are_sent_away_and_may_come_back(network: Network) -> None:
    host = network.hosts[0]
    for each in network.hosts:
        each.engine.pause_s = 0.2
    async with serving(QuestionEndpoint(host.service, max_transfers=1, max_waiting=1)) as url:
        narrow = replace(host, url=url)
        replies = await asyncio.gather(*(network.post(narrow, network.body()) for _ in range(3)))
        assert sorted(reply.status for reply in replies) == [200, 200, 429]
        refused = next(reply for reply in replies if reply.status == 429)
        require_openai_error(refused, 429)
        assert refused.headers["Retry-After"]
        assert (await network.post(narrow, network.body())).status == 200


async def test_an_executor_with_all_places_taken_says_so_at_once(network: Network) -> None:
    host, body = network.hosts[1], network.body()
    async with serving(QuestionEndpoint(host.service, max_executions=0)) as url:
        assert (await _refusal(network, network.start_for(host, body), body, url=url))[0] == 429


async def test_a_chain_that_is_away_is_said(network: Network) -> None:
    network.chain.failure = ChainUnavailable("nobody listens at 10.0.0.7")
    reply = await network.post(network.hosts[0], network.body())
    require_openai_error(reply, 503)
    assert reply.error == "this node's chain does not answer"


async def test_a_fault_of_ours_is_a_bare_500(network: Network) -> None:
    network.chain.failure = RuntimeError("secret detail")
    reply = await network.post(network.hosts[0], network.body())
    require_openai_error(reply, 500)
    assert b"secret" not in reply.raw


@asynccontextmanager
async def to_executor(network: Network, host: Host, start: Any, body: bytes) -> AsyncIterator[aiohttp.ClientResponse]:
    headers = hop.request_headers(start, 1.0)
    async with network.http.post(host.url + "/v1/chat/completions", data=body, headers=headers) as answer:
        yield answer


async def test_an_executor_accepts_in_its_headers_and_heads_its_answer_with_a_line(network: Network) -> None:
    host, body = network.hosts[1], network.body()
    async with to_executor(network, host, network.start_for(host, body), body) as answer:
        assert answer.status == 200
        assert answer.headers[hop.ACCEPTANCE_HEADER]
        assert answer.content_type == hop.ANSWER_TYPE
        head = hop.read_head(await answer.content.readline())
        assert (head.status, head.content_type) == (200, "application/json")
        assert orjson.loads(await answer.content.read(head.length or 0))["choices"]


async def test_an_executor_that_waits_for_its_engine_sends_heartbeats(
    network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hop, "HEARTBEAT_SECONDS", 0.02)
    host, body = network.hosts[1], network.body()
    host.engine.pause_s = 0.2
    async with to_executor(network, host, network.start_for(host, body), body) as answer:
        assert await answer.content.readline() == hop.HEARTBEAT


async def test_an_executor_that_falls_silent_after_its_acceptance_is_passed_over(
    network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(peers, "SILENCE_SECONDS", 0.1)
    monkeypatch.setattr(hop, "HEARTBEAT_SECONDS", 5)
    silent = network.hosts[1]
    silent.engine.pause_s = 3
    body, headers = network.first_drawn(silent)
    reply = await network.post(network.hosts[0], body, headers)
    assert reply.status == 200
    assert [start.attempt for start in await network.hosts[0].started()] == [1]


async def _refusal(network: Network, start: Any, body: bytes, url: str = "") -> tuple[int, str]:
    host = network.hosts[1]
    async with to_executor(network, replace(host, url=url or host.url), start, body) as answer:
        assert hop.ACCEPTANCE_HEADER not in answer.headers
        return answer.status, (await answer.json())["error"]["message"]


@pytest.mark.parametrize(
    ("changes", "status", "sentence"),
    [
        ({"prompt_hash": "0" * 64}, 401, "not the developer's signature"),
        ({"model": "other"}, 404, "other"),
        ({"prompt_token_count": 3}, 400, "prompt_token_count"),
        ({"max_tokens": 9}, 400, "max_tokens"),
        ({"epoch_id": 5}, 403, "is over"),
        ({"epoch_id": 9}, 403, "has not begun"),
        ({"attempt": 2}, 403, "not drawn"),
        ({"requested_by": "gonka1other"}, 401, "does not hash"),
        ({"request_timestamp": 5}, 401, "not the developer's signature"),
        ({"prompt_token_count": 1_000_001}, 400, "prompt_token_count"),
        ({"node_version": "v" * 65}, 400, "node_version"),
        ({"node_version": "v" * 3_000}, 400, "2048"),
        ({"transferred_by": "gonka1nonsense"}, 400, "transferred_by"),
        ({"developer_public_key": b"\4" * 65}, 401, "developer_public_key"),
    ],
)
async def test_a18_an_executor_refuses_a_start_that_is_not_as_it_should_be(
    network: Network, changes: dict[str, Any], status: int, sentence: str
) -> None:
    body = network.body()
    start = network.start_for(network.hosts[1], body, **changes)
    told, message = await _refusal(network, start, body)
    assert (told, sentence in message) == (status, True), message
    assert network.hosts[1].engine.bodies == []


async def test_a18_an_executor_refuses_a_body_that_the_start_does_not_speak_of(network: Network) -> None:
    start = network.start_for(network.hosts[1], network.body())
    status, message = await _refusal(network, start, network.body("another question"))
    assert (status, "prompt_hash" in message) == (400, True)
    body = network.body(model="other")
    status, message = await _refusal(network, network.start_for(network.hosts[1], body), body)
    assert (status, "model" in message) == (400, True)


async def test_a18_strangers_get_no_body_read_by_an_executor(network: Network) -> None:
    start = network.start_for(network.hosts[1], network.body(), requested_by="gonka1other")

    async def endless() -> AsyncIterator[bytes]:
        yield b"{"
        await asyncio.sleep(0.3)

    headers = hop.request_headers(start, 1.0)
    url = network.hosts[1].url + "/v1/chat/completions"
    async with network.http.post(url, data=endless(), headers=headers) as answer:
        assert answer.status == 401


async def test_a18_an_executor_refuses_what_is_for_another_host(network: Network) -> None:
    body = network.body()
    status, message = await _refusal(network, network.start_for(network.hosts[0], body), body)
    assert status == 403
    assert network.hosts[0].address in message


async def test_a18_an_executor_refuses_a_start_that_the_transfer_agent_has_not_signed(network: Network) -> None:
    body = network.body()
    start = network.start_for(network.hosts[1], body)
    start.transfer_signature = network.developer.sign_base64(signing.start_sign_bytes(start))
    assert await _refusal(network, start, body) == (401, "Unable to validate request against TransferSignature")
    start.transfer_signature = "nonsense"
    assert (await _refusal(network, start, body))[0] == 401


async def test_a18_an_executor_refuses_a_transfer_agent_that_is_no_host(network: Network) -> None:
    body = network.body()
    start = network.start_for(network.hosts[1], body)
    network.chain.participants[network.hosts[0].address].inference_url = ""
    status, message = await _refusal(network, start, body)
    assert (status, "no registered host" in message) == (403, True)


async def test_a_host_that_is_no_member_may_be_transfer_agent(network: Network) -> None:
    body = network.body()
    network.chain.form_group(7, {network.hosts[1].address: 10})
    start = network.start_for(network.hosts[1], body, attempt=0)
    async with to_executor(network, network.hosts[1], start, body) as answer:
        assert answer.status == 200


async def test_a31_an_executor_takes_a_developers_signature_once(network: Network) -> None:
    host, body = network.hosts[1], network.body()
    start = network.start_for(host, body)
    async with to_executor(network, host, start, body) as answer:
        assert answer.status == 200
        await answer.read()
    assert await _refusal(network, start, body) == (400, "AuthKey has already been used for an executor request")


async def test_an_executor_refuses_what_nobody_can_pay_but_lets_the_gateway_account_help(network: Network) -> None:
    host, body = network.hosts[1], network.body()
    network.chain.balances[network.developer.address] = 0
    gateway = network.hosts[0].identity.gateway.address
    network.chain.balances[gateway] = 0
    assert (await _refusal(network, network.start_for(host, body), body))[0] == 402
    network.chain.balances[gateway] = 10**9
    async with to_executor(network, host, network.start_for(host, body), body) as answer:
        assert answer.status == 200


async def test_an_executor_without_a_free_node_says_so_and_keeps_the_signature_good(network: Network) -> None:
    host, body = network.hosts[1], network.body()
    host.fleet.free.clear()
    start = network.start_for(host, body)
    assert (await _refusal(network, start, body))[0] == 503
    host.service._used.require_unused(b"", Role.EXECUTOR)
    host.fleet.free.set()
    async with to_executor(network, host, start, body) as answer:
        assert answer.status == 200


async def test_a18_an_executor_refuses_spellings_of_signatures_that_the_chain_refuses(network: Network) -> None:
    host, body = network.hosts[1], network.body()
    for field in ("inference_id", "transfer_signature"):
        start = network.start_for(host, body)
        text = getattr(start, field)
        setattr(start, field, f"{text[:-3]}{chr(ord(text[-3]) + 1)}==")
        assert keys.decode_signature(text) == keys.decode_signature(getattr(start, field)), "only unused bits differ"
        assert await _refusal(network, start, body) == (401, "the signature is not in the base64 that encoders write")


async def test_a18_fields_that_the_chain_does_not_know_do_not_come_into_the_finish(network: Network) -> None:
    host, body = network.hosts[1], network.body()
    start = network.start_for(host, body)
    headers = hop.request_headers(start, 1.0)
    unknown = bytes([0xBA, 0x3E, 1, 7])  # field 999, one byte
    headers[hop.START_HEADER] = base64.b64encode(start.SerializeToString() + unknown).decode()
    async with network.http.post(host.url + "/v1/chat/completions", data=body, headers=headers) as answer:
        assert answer.status == 200
        await answer.read()
    [finish] = await host.settled()
    start.acceptance_signature = finish.start.acceptance_signature
    assert finish.start.SerializeToString() == start.SerializeToString()


async def test_a18_requests_at_the_same_time_cannot_spend_the_same_coins_at_an_executor(network: Network) -> None:
    host, body = network.hosts[1], network.body()
    host.engine.pause_s = 0.2
    network.chain.balances[network.developer.address] = (len(body) + 64 + 8) * PRICE
    network.chain.balances[network.hosts[0].identity.gateway.address] = 0

    async def ask() -> int:
        async with to_executor(network, host, network.start_for(host, body), body) as answer:
            await answer.read()
            return answer.status

    assert sorted(await asyncio.gather(*(ask() for _ in range(3)))) == [200, 402, 402]


async def test_a_start_that_is_none_is_refused(network: Network) -> None:
    for start in ("!", "AAAA", ""):
        headers = {"X-Inference-Id": "x", "X-Start": start}
        async with network.http.post(
            network.hosts[1].url + "/v1/chat/completions", data=network.body(), headers=headers
        ) as answer:
            assert answer.status == 400


async def test_vectors_of_the_published_client_are_taken() -> None:
    for vector in load_vectors("developer_signatures.json")["vectors"]:
        message = signing.developer_sign_bytes(
            signing.body_hash(vector["body"].encode()), vector["timestamp_ns"], vector["transfer_address"]
        )
        assert keys.recover(vector["address"], message, keys.decode_signature(vector["signature"]))
