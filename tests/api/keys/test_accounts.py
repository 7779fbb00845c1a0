"""A developer's account takes its share of a host, and nobody else takes it for the account."""

import asyncio
from contextlib import ExitStack

import pytest

from pivot.api.http.errors import TooManyRequests
from pivot.api.keys.accounts import AccountLimits
from pivot.api.keys.shares import Shares
from pivot.api.settings import HttpSettings
from tests.api.inference.network import Host, Network, Reply

ADA, BOB = "gonka1ada", "gonka1bob"


class Clock:
    """Seconds that tests set."""

    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def limit(network: Network, **limits: int) -> Host:
    """The first host of the network, with limits that were set while it runs."""
    host = network.hosts[0]
    for name, value in limits.items():
        setattr(host.service._settings.api, name, value)
    return host


async def ask(network: Network, host: Host) -> Reply:
    body = network.body()
    return await network.post(host, body, network.signed(body, host))


async def test_an_account_sends_so_many_requests_a_minute_and_is_told_when_to_come_again(network: Network) -> None:
    host = limit(network, account_requests_per_minute=2)
    assert [(await ask(network, host)).status for _ in range(3)] == [200, 200, 429]
    refused = await ask(network, host)
    assert refused.json["error"]["code"] == "too_many_requests"
    assert refused.json["error"]["type"] == "rate_limit_error"
    assert 1 <= int(refused.headers["Retry-After"]) <= 30
    assert (await network.post(host, network.body())).status == 200  # an API key has limits of its own
    limit(network, account_requests_per_minute=0)
    assert (await ask(network, host)).status == 200


async def test_an_account_has_so_many_requests_under_way(network: Network) -> None:
    host = limit(network, account_concurrency=1)
    for each in network.hosts:
        each.fleet.free.clear()
    held = asyncio.create_task(ask(network, host))
    while not host.service._accounts._shares.of(network.developer.address).under_way:
        await asyncio.sleep(0.01)
    refused = await ask(network, host)
    assert (refused.status, refused.headers["Retry-After"]) == (429, "2")
    assert "1 requests under way" in refused.error
    for each in network.hosts:
        each.fleet.free.set()
    assert (await held).status == 200
    assert (await ask(network, host)).status == 200


async def test_nobody_uses_up_what_is_anothers(network: Network) -> None:
    """Neither a claim that is not signed, nor a request that somebody has seen and sends again, counts for the account."""
    host = limit(network, account_requests_per_minute=2)
    body = network.body()
    headers = network.signed(body, host)
    for _ in range(5):
        assert (await network.post(host, network.body("other"), headers)).status == 401
    assert (await network.post(host, body, headers)).status == 200
    for _ in range(5):
        assert (await network.post(host, body, headers)).json["error"]["code"] == "signature_reused"
    assert (await ask(network, host)).status == 200
    assert (await ask(network, host)).status == 429


def test_each_account_has_a_share_of_its_own_and_the_rate_comes_back() -> None:
    clock = Clock()
    limits = AccountLimits(HttpSettings(account_requests_per_minute=1), clock)
    for account in (ADA, BOB):
        with limits.place(account):
            pass
    with pytest.raises(TooManyRequests, match="1 requests a minute") as refused:
        limits.place(ADA)
    assert refused.value.retry_after_s == 60
    clock.now_s = 60
    with limits.place(ADA):
        pass


def test_a_limit_that_changes_holds_from_the_next_request_on() -> None:
    settings = HttpSettings(account_requests_per_minute=1)
    limits = AccountLimits(settings, Clock())
    with limits.place(ADA):
        pass
    settings.account_requests_per_minute = 3
    for _ in range(3):
        with limits.place(ADA):
            pass
    with pytest.raises(TooManyRequests):
        limits.place(ADA)


def test_as_many_are_remembered_as_there_is_room_for_and_those_under_way_stay() -> None:
    shares = Shares(2)
    with shares.of(ADA).place():
        for number in range(1000):
            shares.of(str(number))
        assert len(shares) == 2
        assert shares.of(ADA).under_way == 1
    assert shares.of("999").under_way == 0


def test_without_settings_one_account_leaves_places_to_others() -> None:
    limits = AccountLimits(HttpSettings())
    most = HttpSettings().account_concurrency
    assert 0 < most < 512
    with ExitStack() as under_way:
        for _ in range(most):
            under_way.enter_context(limits.place(ADA))
        with pytest.raises(TooManyRequests):
            limits.place(ADA)
        with limits.place(BOB):
            pass
