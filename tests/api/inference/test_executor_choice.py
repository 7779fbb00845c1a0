"""Which of three drawn hosts answers: the quick one with room, and another as soon as that one fails."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from pivot.api.inference import transfer
from pivot.api.inference.execution import NODES_TO_TRY
from pivot.api.inference.standing import FIRST_OPEN_SECONDS, REFUSALS_TO_OPEN, Standings
from tests.api.inference.network import Host, Network, Reply, running_network


class Clock:
    now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
async def network(tmp_path: Path) -> AsyncIterator[Network]:
    """A transfer agent, and two other hosts."""
    async with running_network(tmp_path, (1, 1, 1)) as network:
        yield network


@pytest.fixture
def clock(network: Network) -> Clock:
    """Of how the transfer agent remembers hosts."""
    clock = Clock()
    network.hosts[0].service.transfer._standings = Standings(clock)
    return clock


async def ask(network: Network, host: Host, *, alike: bool = True, **fields: object) -> Reply:
    """A request for which this host is drawn first, and whose ML node has come back. alike: no host is known as the quicker one."""
    host.fleet.lost.clear()
    for standing in network.hosts[0].service.transfer._standings._hosts.values():
        standing.latency = None if alike else standing.latency
    body, headers = network.first_drawn(host, **fields)
    return await network.post(network.hosts[0], body, headers)


def executor(network: Network, reply: Reply) -> int:
    """Number of the host that answered."""
    return [host.address for host in network.hosts].index(reply.headers["x-pivot-executor"])


async def test_the_breaker_of_a_host_opens_tries_with_one_request_and_closes(network: Network, clock: Clock) -> None:
    host = network.hosts[1]
    participant = network.chain.participants[host.address]
    url, participant.inference_url = participant.inference_url, "http://127.0.0.1:1"
    assert executor(network, await ask(network, host)) != 1
    participant.inference_url = url
    assert executor(network, await ask(network, host)) != 1
    assert host.engine.bodies == []  # it was not even asked

    clock.now_s += FIRST_OPEN_SECONDS
    participant.inference_url = "http://127.0.0.1:1"
    assert executor(network, await ask(network, host)) != 1  # one request has tried
    participant.inference_url = url
    clock.now_s += FIRST_OPEN_SECONDS
    assert executor(network, await ask(network, host)) != 1  # its second pause is longer
    assert host.engine.bodies == []

    clock.now_s += FIRST_OPEN_SECONDS
    host.engine.pause_s = 0.3
    replies = await asyncio.gather(*(ask(network, host) for _ in range(4)))
    assert sorted(executor(network, reply) == 1 for reply in replies) == [False, False, False, True]
    host.engine.pause_s = 0.0
    replies = await asyncio.gather(*(ask(network, host) for _ in range(4)))
    assert {executor(network, reply) for reply in replies} == {1}


async def test_a_host_that_accepts_and_fails_all_it_is_asked_is_asked_last_but_not_for_one_request(
    network: Network, clock: Clock
) -> None:
    host = network.hosts[1]
    host.engine.fails_with = 500
    for asked in range(1, REFUSALS_TO_OPEN + 1):
        assert executor(network, await ask(network, host)) != 1
        assert len(host.engine.bodies) == NODES_TO_TRY * asked
    assert executor(network, await ask(network, host)) != 1
    assert len(host.engine.bodies) == NODES_TO_TRY * REFUSALS_TO_OPEN
    clock.now_s += FIRST_OPEN_SECONDS
    host.engine.fails_with = None
    assert executor(network, await ask(network, host)) == 1


@pytest.mark.parametrize("number", [0, 1])
async def test_a_host_whose_ml_nodes_break_their_streams_is_asked_last_though_it_says_so_itself(
    network: Network, clock: Clock, number: int
) -> None:
    host = network.hosts[number]
    host.engine.breaks_after = 3
    reply = await ask(network, host, stream=True)
    assert executor(network, reply) == number
    assert b"node_failed" in reply.raw
    assert executor(network, await ask(network, host, stream=True)) != number
    clock.now_s += FIRST_OPEN_SECONDS
    assert b"node_failed" in (await ask(network, host, stream=True)).raw
    clock.now_s += FIRST_OPEN_SECONDS  # twice as long now: that its answers begin says nothing
    assert executor(network, await ask(network, host, stream=True)) != number
    clock.now_s += FIRST_OPEN_SECONDS
    host.engine.breaks_after = None
    for _ in range(2):
        assert executor(network, await ask(network, host, stream=True)) == number


async def test_one_that_is_busy_and_one_that_is_gone_are_passed_over_for_the_third(
    network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transfer, "SHORT_PATIENCE_SECONDS", 0.05)
    while True:
        body = network.body()
        headers = network.signed(body, network.hosts[0])
        first, second, third = network.drawn(headers["Authorization"])
        if third == network.hosts[0].address:
            break
    by_address = {host.address: host for host in network.hosts}
    by_address[first].fleet.free.clear()
    network.chain.participants[second].inference_url = "http://127.0.0.1:1"
    reply = await network.post(network.hosts[0], body, headers)
    assert reply.headers["x-pivot-executor"] == third
    [start] = await network.hosts[0].started()
    assert start.attempt == 2


async def test_a_host_that_had_no_room_a_moment_ago_is_asked_after_those_that_may_have_some(
    network: Network, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transfer, "SHORT_PATIENCE_SECONDS", 0.05)
    host = network.hosts[1]
    host.fleet.free.clear()
    assert executor(network, await ask(network, host)) != 1
    host.fleet.free.set()
    assert executor(network, await ask(network, host)) != 1
    clock.now_s += 2
    assert executor(network, await ask(network, host)) == 1


async def test_requests_under_way_at_a_slow_host_send_the_next_ones_elsewhere(network: Network, clock: Clock) -> None:
    standings = network.hosts[0].service.transfer._standings
    for host, seconds in zip(network.hosts, (1.0, 0.3, 1.0), strict=True):
        standings.begun(host.address, seconds)
    slow = network.hosts[0]
    assert executor(network, await ask(network, slow, alike=False)) == 1
    network.hosts[1].engine.pause_s = 0.3
    replies = await asyncio.gather(*(ask(network, slow, alike=False, stream=True) for _ in range(8)))
    assert {executor(network, reply) for reply in replies} > {1}
