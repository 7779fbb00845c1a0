import asyncio

import pytest

from pivot.doctor import ports
from pivot.doctor.finding import State
from pivot.doctor.ports import Port

ADMIN = Port("the Admin API", "0.0.0.0", 9200)


def test_a_taken_port_is_wrong_before_the_start() -> None:
    assert ports.port_is_free(ADMIN, taken=False).state is State.OK
    finding = ports.port_is_free(ADMIN, taken=True)
    assert (finding.state, "sport = :9200" in finding.remedy) == (State.WRONG, True)


def test_a_silent_port_is_wrong_after_the_start() -> None:
    assert ports.port_answers(ADMIN, listens=True, remedy="start it").state is State.OK
    finding = ports.port_answers(ADMIN, listens=False, remedy="start it")
    assert (finding.state, finding.remedy) == (State.WRONG, "start it")
    assert finding.found == "nothing listens for the Admin API at 127.0.0.1:9200"


@pytest.mark.parametrize(
    ("public", "connects", "state"),
    [(True, True, State.WRONG), (True, False, State.OK), (False, False, State.SKIPPED), (False, True, State.SKIPPED)],
)
def test_an_inner_port_that_is_open_to_the_public_is_wrong(public: bool, connects: bool, state: State) -> None:
    finding = ports.port_is_closed_to_the_public(ADMIN, "host.example", public=public, connects=connects)
    assert finding.state is state


def test_an_rpc_may_be_open_but_is_told() -> None:
    rpc = Port("the chain node's RPC", "node", 26657)
    shown = ports.rpc_is_closed_to_the_public(rpc, "host.example", public=True, connects=True)
    assert (shown.state, "RPC_ADDRESS=127.0.0.1" in shown.remedy) == (State.WARNING, True)
    assert ports.rpc_is_closed_to_the_public(rpc, "host.example", public=True, connects=False).state is State.OK


def test_peers_must_be_told_an_address_that_answers() -> None:
    def state(address: str, *, connects: bool, elsewhere: bool) -> State:
        return ports.peers_can_dial(address, connects=connects, elsewhere=elsewhere).state

    assert state("", connects=False, elsewhere=False) is State.WARNING
    assert state("tcp://host.example:5000", connects=False, elsewhere=False) is State.WRONG
    assert state("tcp://host.example:5000", connects=False, elsewhere=True) is State.SKIPPED
    assert state("tcp://host.example:5000", connects=True, elsewhere=True) is State.OK


def test_the_public_url_leads_to_this_host_and_others_can_follow_it() -> None:
    url = "http://host.example:8000"

    def state(told: str | None, own: str | None, *, elsewhere: bool = False) -> State:
        return ports.public_url_leads_here(url, told, own, elsewhere=elsewhere).state

    assert state(None, "gonka1me") is State.WRONG
    assert state(None, "gonka1me", elsewhere=True) is State.SKIPPED
    assert state("gonka1other", "gonka1me", elsewhere=True) is State.WRONG
    assert state("gonka1me", "gonka1me") is State.OK
    assert state("gonka1me", None) is State.OK
    assert ports.public_url_is_no_loopback(url, loopback=True, on_purpose=False).state is State.WRONG
    assert ports.public_url_is_no_loopback(url, loopback=True, on_purpose=True).state is State.OK
    assert ports.public_url_is_no_loopback(url, loopback=False, on_purpose=False).state is State.OK


async def test_connections_are_tried() -> None:
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
    number = server.sockets[0].getsockname()[1]
    assert await ports.connects("127.0.0.1", number)
    server.close()
    await server.wait_closed()
    assert not await ports.connects("127.0.0.1", number)
    assert not await ports.connects("no-such-name.invalid", 80)


@pytest.mark.parametrize(
    ("host", "public"),
    [("127.0.0.1", False), ("10.0.0.5", False), ("fd00::5", False), ("8.8.8.8", True), ("no-such.invalid", False)],
)
async def test_public_addresses(host: str, public: bool) -> None:
    assert await ports.is_public(host) is public


@pytest.mark.parametrize(
    ("host", "elsewhere"),
    [("127.0.0.1", False), ("::1", False), ("localhost", False), ("192.0.2.1", True), ("no-such.invalid", False)],
)
async def test_addresses_that_are_not_this_machines(host: str, elsewhere: bool) -> None:
    assert await ports.is_elsewhere(host) is elsewhere


def test_where_a_port_is_reached() -> None:
    assert ADMIN.url == "http://127.0.0.1:9200"
    assert Port("x", "::", 1).url == "http://[::1]:1"
    assert Port("x", "10.0.0.5", 1).url == "http://10.0.0.5:1"
