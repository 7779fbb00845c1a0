"""What the parts of a node tell of themselves."""

import dataclasses
from types import SimpleNamespace

import pytest

from pivot.api.database import Database
from pivot.api.fleet.interface import FleetNode, Generate, Serve, Stop
from pivot.api.metrics import figures, sources
from pivot.api.validation.tables import Check, Kind, State
from tests.api.inference.network import FakeChain, FakePhases, moment_at

NODE = FleetNode(
    id="node1",
    node_number=1,
    models={},
    max_concurrent=1,
    management_url="http://m",
    inference_url="http://i",
    enabled=True,
    reachable=True,
    duty=Serve("m"),
    fulfils=True,
)


@pytest.mark.parametrize(
    ("change", "state"),
    [
        ({}, "serving"),
        ({"duty": Stop()}, "resting"),
        ({"duty": None}, "changing"),
        ({"fulfils": False}, "changing"),
        ({"failing": True}, "failing"),
        ({"reachable": False}, "unreachable"),
    ],
)
def test_a_node_does_what_it_is_seen_doing(change: dict[str, object], state: str) -> None:
    assert sources.state_of(dataclasses.replace(NODE, **change)) == state  # type: ignore[arg-type]
    assert state in sources.NODE_STATES
    assert sources.DOES[Generate] in sources.NODE_STATES


async def test_nodes_are_counted_by_state_and_what_they_answer_by_name() -> None:
    fleet = SimpleNamespace(waiting=4, reports=lambda: [SimpleNamespace(view=NODE, leases=3)])
    told = list(await sources.of_fleet(fleet, SimpleNamespace(waiting=2))())  # type: ignore[arg-type]
    assert (figures.REQUESTS_WAITING, ("node",), 4) in told
    assert (figures.REQUESTS_WAITING, ("turn",), 2) in told
    assert (figures.NODES, ("serving",), 1) in told
    assert (figures.NODES, ("unreachable",), 0) in told
    assert (figures.NODE_REQUESTS, ("node1",), 3) in told


async def test_blocks_that_are_not_acted_on_are_the_lag() -> None:
    phases = FakePhases()
    head = dataclasses.replace(moment_at().head, height=1003)
    told = list(await sources.of_chain(SimpleNamespace(newest=head, synced=True), phases)())
    assert (figures.LAG_BLOCKS, (), 3) in told
    assert (figures.HEIGHT, (), 1000) in told
    assert (figures.PHASE, ("Inference",), 1) in told
    phases.moment = None
    assert await sources.of_chain(SimpleNamespace(newest=None, synced=False), phases)() == [(figures.SYNCED, (), 0)]


async def test_a_host_that_is_no_member_has_no_weight() -> None:
    identity = SimpleNamespace(address="gonka1a", gateway=SimpleNamespace(address="gonka1b"))
    chain, phases = FakeChain(balances={"gonka1a": 5, "gonka1b": 6}), FakePhases()
    source = sources.of_accounts(identity, chain, phases)  # type: ignore[arg-type]
    told = [(figures.BALANCE, ("host",), 5), (figures.BALANCE, ("gateway",), 6)]
    assert await source() == [*told, (figures.WEIGHT, (), 0)]
    chain.form_group(7, {"gonka1a": 40, "gonka1c": 2})
    assert await source() == [*told, (figures.WEIGHT, (), 40)]


async def test_hosts_to_check_are_counted() -> None:
    told = await sources.of_poc_checks(SimpleNamespace(tally=(5, 3)))()
    assert told == [(figures.DUTIES_DUE, ("poc-check",), 5), (figures.DUTIES_DONE, ("poc-check",), 3)]


async def test_checks_that_are_told_to_the_chain_are_done(each_database: Database) -> None:
    async with each_database.session() as session:
        for place, (kind, state) in enumerate(
            [(Kind.DUTY, State.DONE), (Kind.DUTY, State.QUEUED), (Kind.VOTE, State.DROPPED)]
        ):
            plain = {"epoch": 1, "segment": 0, "attempts": 0, "not_before_ms": 0, "patience_height": 0, "value_e6": 0}
            texts = {"model": "", "accuser": "", "reason": "", "sent_key": ""}
            row = Check(inference_id=str(place), kind=kind, state=state, deadline_height=0, verdict=0, **plain, **texts)
            session.add(row)
    assert list(await sources.of_checks(each_database)()) == [
        (figures.DUTIES_DUE, ("check",), 2),
        (figures.DUTIES_DONE, ("check",), 1),
        (figures.DUTIES_DUE, ("dispute-vote",), 1),
        (figures.DUTIES_DONE, ("dispute-vote",), 0),
    ]
