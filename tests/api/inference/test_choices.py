"""`n` above 1: as many inferences as choices, one answer."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from pivot.api.http.errors import Unavailable
from pivot.api.inference.choices import merged, split
from pivot.api.inference.parts import JSON, Bound, Chosen, Head, Part, Parts
from pivot.api.inference.request import COMPLETIONS_PATH, LARGEST_SEED, parse
from tests.api.inference.engine import WORDS
from tests.api.inference.network import API_KEY, Network, Reply

ANSWER = "".join(WORDS)


async def all_settled(network: Network) -> list[Any]:
    return [finish for host in network.hosts for finish in await host.settled()]


async def test_every_choice_is_an_inference_of_its_own(network: Network) -> None:
    reply = await network.post(network.hosts[0], network.body(n=3, logprobs=True))
    assert reply.status == 200, reply.raw
    assert [choice["index"] for choice in reply.json["choices"]] == [0, 1, 2]
    assert {choice["message"]["content"] for choice in reply.json["choices"]} == {ANSWER}
    assert reply.json["usage"] == {"prompt_tokens": 12, "completion_tokens": 18, "total_tokens": 30}
    starts = await network.hosts[0].started()
    assert len({start.inference_id for start in starts}) == 3
    assert reply.json["id"] == reply.headers["x-pivot-inference-id"]
    assert reply.json["id"] in {start.inference_id for start in starts}
    assert [finish.completion_token_count for finish in await all_settled(network)] == [6] * 3
    told = [body for host in network.hosts for body in host.engine.bodies]
    assert [body["n"] for body in told] == [1] * 3
    assert len({body["seed"] for body in told}) == 3


@pytest.mark.parametrize("usage", [True, False])
async def test_choices_are_streamed_under_one_id(network: Network, usage: bool) -> None:
    body = network.completion(n=2, stream=True, stream_options={"include_usage": usage})
    reply = await network.post(network.hosts[0], body, path=COMPLETIONS_PATH)
    events = reply.events
    assert {event["id"] for event in events} == {reply.headers["x-pivot-inference-id"]}
    texts = ["", ""]
    for event in events:
        for choice in event["choices"]:
            texts[choice["index"]] += choice["text"]
    assert texts == [ANSWER] * 2
    counted = [event["usage"]["completion_tokens"] for event in events if event.get("usage")]
    assert counted == ([12] if usage else [])


async def test_the_usage_so_far_is_that_of_all_choices(network: Network) -> None:
    body = network.body(n=2, stream=True, stream_options={"include_usage": True, "continuous_usage_stats": True})
    events = (await network.post(network.hosts[0], body)).events
    counted = [event["usage"]["completion_tokens"] for event in events if event.get("usage")]
    assert counted == [*range(1, 13), 12]
    assert [each["usage"]["total_tokens"] for each in events if each.get("usage")][-1] == 12 + 2 * 4


@pytest.mark.parametrize("stream", [True, False])
async def test_a_refusal_is_given_once_and_stays_a_400(network: Network, stream: bool) -> None:
    for host in network.hosts:
        host.engine.refuses_with = {"message": "too long"}
    reply = await network.post(network.hosts[0], network.body(n=3, stream=stream))
    assert (reply.status, reply.error) == (400, "too long")
    assert await network.hosts[0].started() == []


@pytest.mark.parametrize("stream", [True, False])
async def test_when_a_choice_cannot_be_had_nobody_works_on_for_the_others(network: Network, stream: bool) -> None:
    network.chain.balances[network.hosts[0].identity.gateway.address] = 2 * (300 + 64) * 100
    reply = await network.post(network.hosts[0], network.body(n=8, stream=stream))
    assert reply.status == 402
    assert all(host.fleet.leased == 0 for host in network.hosts)


async def test_a_choice_that_breaks_off_ends_the_stream_with_an_error_event(network: Network) -> None:
    for host in network.hosts:
        host.engine.breaks_after = 2
    reply = await network.post(network.hosts[0], network.body(n=2, stream=True))
    assert reply.status == 200
    assert b'"node_failed"' in reply.raw.split(b"\n\n")[-2]


@pytest.mark.parametrize(
    "parts",
    [
        [Chosen("a", "id", 0.0), Head(200, "application/json", 2), b"{}"],
        [Chosen("a", "id", 0.0), Head(200, "application/json", 3), b"{{{"],
        [Chosen("a", "id", 0.0), Head(200, "application/json", 2**30), *[b"x" * 2**20] * 17],
        [Chosen("a", "id", 0.0), Head(200, "text/event-stream"), b"data: 1\n\n"],
    ],
)
async def test_what_a_host_sends_instead_of_an_answer_is_a_503(parts: list[Part]) -> None:
    async def answer() -> Parts:
        for part in parts:
            yield part

    head = next(part for part in parts if isinstance(part, Head))
    request = parse(
        b'{"model":"m","messages":[{"role":"user"}],"n":2,"stream":%s}' % (b"false" if head.length else b"true")
    )
    with pytest.raises(Unavailable):
        [part async for part in merged([answer(), answer()], request)]


async def test_when_the_developer_goes_away_all_choices_end(network: Network) -> None:
    for host in network.hosts:
        host.engine.pause_s = 0.1
    body = network.body(n=3, stream=True)
    url = network.hosts[0].url + "/v1/chat/completions"
    async with network.http.post(url, data=body, headers={"Authorization": f"Bearer {API_KEY}"}) as answer:
        await answer.content.readany()
        answer.close()
    for _ in range(100):
        if all(host.fleet.leased == 0 for host in network.hosts):
            break
        await asyncio.sleep(0.02)
    assert all(host.fleet.leased == 0 for host in network.hosts)


async def test_a_signature_pays_for_one_answer(network: Network) -> None:
    body = network.body(n=2)
    reply: Reply = await network.post(network.hosts[0], body, network.signed(body, network.hosts[0]))
    assert (reply.status, reply.json["error"]["param"]) == (400, "n")


def test_a_chosen_seed_counts_up_and_stays_a_seed() -> None:
    for seed, expected in ((7, [7, 8, 9]), (LARGEST_SEED, [LARGEST_SEED, LARGEST_SEED - 1, LARGEST_SEED - 2])):
        request = parse(b'{"model":"m","messages":[{"role":"user"}],"n":3,"seed":%d}' % seed)
        assert [each.document["seed"] for each in split(request)] == expected


class BoundChoice:
    """An answer that is bound to be finished, and takes its time."""

    def __init__(self) -> None:
        self.bound, self.go_on = asyncio.Event(), asyncio.Event()
        self.finished = False

    async def parts(self) -> Parts:
        yield Bound()
        self.bound.set()
        await self.go_on.wait()
        yield Head(200, JSON, 2)
        yield b"{}"
        self.finished = True

    async def fails_beside_it(self) -> Parts:
        await self.bound.wait()
        raise Unavailable("no host is left")
        yield Bound()


async def read_all(answers: Sequence[Parts]) -> list[Part]:
    request = parse(b'{"model": "m", "messages": [{"role": "user", "content": "x"}], "n": 2}', "/v1/chat/completions")
    return [part async for part in merged(answers, request)]


async def test_a30_a_choice_that_is_bound_is_finished_though_another_fails() -> None:
    choice = BoundChoice()
    reading = asyncio.ensure_future(read_all([choice.parts(), choice.fails_beside_it()]))
    await choice.bound.wait()
    for _ in range(20):
        await asyncio.sleep(0)
    assert not reading.done()
    choice.go_on.set()
    with pytest.raises(Unavailable):
        await reading
    assert choice.finished


async def test_a_node_that_ends_cuts_bound_choices_off() -> None:
    choices = BoundChoice(), BoundChoice()
    reading = asyncio.ensure_future(read_all([each.parts() for each in choices]))
    await asyncio.gather(*(each.bound.wait() for each in choices))
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    assert not any(each.finished for each in choices)
