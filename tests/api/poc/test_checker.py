from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from pivot.api.ledger.interface import EXPIRED
from pivot.api.poc.checker import last_call, seconds_left
from pivot.protocol.generated.inference.inference.query_pb2 import PocDuty
from pivot.protocol.generated.inference.inference.tx_pb2 import MsgSubmitPocVotes
from pivot.protocol.generated.inference.inference.types_pb2 import PocCommit, PocVerdict
from pivot.protocol.poc import vote_hash
from tests.api.databases import ON_BOTH, DatabaseAt
from tests.api.fleet.chain import CHAIN_ID, FakeChain, FakePhases, epoch, until
from tests.api.fleet.ml_node import FakeMlNode
from tests.api.poc.host import Host, host
from tests.api.poc.test_duties import moment
from tests.api.poc.test_prover import BOOKS_CLOSE, MARKS, sprint

pytestmark = ON_BOTH


@pytest.fixture
async def node() -> AsyncIterator[FakeMlNode]:
    async with FakeMlNode.running() as node:
        yield node


@pytest.fixture
async def other_node() -> AsyncIterator[FakeMlNode]:
    async with FakeMlNode.running() as node:
        yield node


@pytest.fixture
async def pair(
    chain: FakeChain,
    phases: FakePhases,
    tmp_path: Path,
    database_at: DatabaseAt,
    node: FakeMlNode,
    other_node: FakeMlNode,
) -> AsyncIterator[tuple[Host, Host]]:
    """Two hosts that have committed, each drawn to check the other."""
    async with AsyncExitStack() as stack:
        first = await stack.enter_async_context(host(chain, phases, tmp_path / "first", database_at, number=1))
        second = await stack.enter_async_context(host(chain, phases, tmp_path / "second", database_at, number=2))
        for one, machine in ((first, node), (second, other_node)):
            await one.add(machine)
            await sprint(one, machine)
            await machine.send_leaves(60)
        await phases.at(BOOKS_CLOSE)
        for one, other in ((first, second), (second, first)):
            await until(lambda one=one: "poc-commit:1" in one.outbox.messages)  # type: ignore[misc]
            one.include_commit([other.address])
        yield first, second


def checked(one: Host) -> bool:
    """Whether checks were begun, and all are done; the votes on them may be fixed already, if they began a block earlier."""
    drawn, done = one.checker.tally
    return 0 < drawn == done


def votes_of(one: Host) -> MsgSubmitPocVotes:
    message = one.outbox.messages["poc-votes:1"]
    assert isinstance(message, MsgSubmitPocVotes)
    return message


async def votes_sent(one: Host) -> list[tuple[str, int, int, str]]:
    """Move to the second half of the window, and see what was voted."""
    await one.phases.at(MARKS.poc_validation_reveal)
    await until(lambda: "poc-votes:1" in one.outbox.messages)
    return [
        (vote.participant, vote.checked, vote.mismatched, PocVerdict.Name(vote.verdict)) for vote in votes_of(one).votes
    ]


async def test_hosts_check_each_other_and_vote(pair: tuple[Host, Host], phases: FakePhases) -> None:
    first, second = pair
    await phases.at(BOOKS_CLOSE + 2)
    await until(lambda: checked(first) and checked(second))
    assert first.checker.tally == (1, 1)
    assert "poc-vote-hash:1" not in first.outbox.messages  # another commit may still come
    await phases.at(MARKS.poc_exchange_end)
    await until(lambda: not first.checker._checks)
    assert "poc-vote-hash:1" not in first.outbox.messages  # its window is not open yet
    await phases.at(MARKS.poc_validation_start)
    await until(lambda: all("poc-vote-hash:1" in one.outbox.messages for one in pair))
    assert "poc-votes:1" not in first.outbox.messages
    assert first.outbox.deadlines["poc-vote-hash:1"] == MARKS.poc_validation_reveal
    assert await votes_sent(first) == [(second.address, 20, 0, "POC_VALID")]
    assert await votes_sent(second) == [(first.address, 20, 0, "POC_VALID")]
    votes = votes_of(first)
    digest = vote_hash(CHAIN_ID, 1, first.address, list(votes.votes), votes.salt)
    assert first.outbox.messages["poc-vote-hash:1"].vote_hash == digest  # type: ignore[attr-defined]
    assert first.outbox.deadlines["poc-votes:1"] == MARKS.poc_validation_end
    await phases.at(MARKS.poc_validation_end)
    assert first.checker._checks == {}
    assert first.checker.tally == (1, 1)


async def test_a_lone_host_checks_itself(one: Host, node: FakeMlNode) -> None:
    await one.add(node)
    await sprint(one, node)
    await node.send_leaves(60)
    await one.phases.at(BOOKS_CLOSE)
    await until(lambda: "poc-commit:1" in one.outbox.messages)
    one.include_commit([one.address])
    await one.phases.at(MARKS.poc_exchange_end)
    await until(lambda: checked(one))
    await one.phases.at(MARKS.poc_validation_start)
    await until(lambda: "poc-vote-hash:1" in one.outbox.messages)
    assert await votes_sent(one) == [(one.address, 20, 0, "POC_VALID")]


async def test_a_host_that_hands_out_nothing_is_voted_invalid(
    pair: tuple[Host, Host], phases: FakePhases, chain: FakeChain
) -> None:
    first, second = pair
    chain.participants[second.address].inference_url = "http://127.0.0.1:9"
    await phases.at(MARKS.poc_exchange_end)
    await phases.at(last_call(MARKS))
    await until(lambda: "poc-vote-hash:1" in first.outbox.messages)
    assert await votes_sent(first) == [(second.address, 20, 20, "POC_INVALID")]


async def test_hosts_are_checked_at_the_same_time_so_none_holds_up_another(
    pair: tuple[Host, Host], phases: FakePhases, chain: FakeChain
) -> None:
    first, second = pair
    silent = [f"gonka1silent{number}" for number in range(5)]
    for host_address in silent:  # all before the one that answers
        commit = PocCommit(participant=host_address, epoch_index=1, nodes=second.commit().nodes)
        chain.duties[1].insert(0, PocDuty(commit=commit, checkers=[first.address]))
    await phases.at(MARKS.poc_exchange_end)
    checks = first.checker._checks
    await until(lambda: second.address in checks and checks[second.address][1].done())
    assert not any(checks[host_address][1].done() for host_address in silent)
    await phases.at(last_call(MARKS))
    await until(lambda: "poc-vote-hash:1" in first.outbox.messages)
    found = {name: verdict for name, _, _, verdict in await votes_sent(first)}
    assert found == {second.address: "POC_VALID"} | dict.fromkeys(silent, "POC_INVALID")


async def test_a16_without_an_answer_of_its_own_nodes_a_host_abstains(
    pair: tuple[Host, Host], phases: FakePhases, node: FakeMlNode
) -> None:
    first, second = pair
    node.silent_checks = True
    await phases.at(MARKS.poc_exchange_end)
    await until(lambda: node.checked)
    await phases.at(last_call(MARKS))
    await until(lambda: "poc-vote-hash:1" in first.outbox.messages)
    assert await votes_sent(first) == [(second.address, 0, 0, "POC_ABSTAIN")]


async def test_votes_survive_a_restart(
    chain: FakeChain, phases: FakePhases, tmp_path: Path, database_at: DatabaseAt, pair: tuple[Host, Host]
) -> None:
    first, _ = pair
    await phases.at(MARKS.poc_exchange_end)
    await until(lambda: checked(first))
    await phases.at(MARKS.poc_validation_start)
    await until(lambda: "poc-vote-hash:1" in first.outbox.messages)
    async with host(chain, phases, tmp_path / "first", database_at, number=1) as again:
        await phases.at(MARKS.poc_validation_start + 1)
        await until(lambda: "poc-vote-hash:1" in again.outbox.messages)
        assert again.outbox.messages["poc-vote-hash:1"] == first.outbox.messages["poc-vote-hash:1"]
        await phases.at(MARKS.poc_validation_reveal)
        await until(lambda: all("poc-votes:1" in one.outbox.messages for one in (first, again)))
        assert votes_of(again) == votes_of(first)


async def test_one_that_was_drawn_for_nobody_votes_on_nobody(one: Host) -> None:
    one.chain.latest = epoch(1)
    for height in (MARKS.poc_exchange_end, MARKS.poc_validation_start, MARKS.poc_validation_reveal):
        await one.phases.at(height)
    assert not [key for key in one.outbox.messages if key.startswith("poc-vote")]


async def test_one_that_comes_in_the_second_half_does_not_vote(one: Host, node: FakeMlNode) -> None:
    one.chain.latest = epoch(1)
    await one.phases.at(MARKS.poc_validation_reveal)
    assert "PocCommits" not in one.chain.asked


async def test_a_check_with_a_fault_is_reported(
    pair: tuple[Host, Host], phases: FakePhases, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = pair

    async def broken(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(first.checker, "_leaves_of", broken)
    await phases.at(MARKS.poc_exchange_end)
    await phases.at(last_call(MARKS))
    await until(lambda: "poc-vote-hash:1" in first.outbox.messages)
    assert f"the check of {second.address} failed" in caplog.text


async def test_votes_whose_hash_came_too_late_are_not_sent(pair: tuple[Host, Host], phases: FakePhases) -> None:
    first, second = pair
    await phases.at(MARKS.poc_exchange_end)
    await until(lambda: checked(first) and checked(second))
    first.outbox.on_put = lambda _key, _message: EXPIRED
    await phases.at(MARKS.poc_validation_start)
    await until(lambda: all("poc-vote-hash:1" in one.outbox.messages for one in pair))
    await votes_sent(second)
    await phases.at(MARKS.poc_validation_reveal + 1)
    assert "poc-votes:1" not in first.outbox.messages


@pytest.mark.parametrize(("begun", "called"), [(0, 8), (4, 8), (5, 8), (6, 8), (7, 8), (8, 9), (9, 9)])
def test_whoever_comes_late_to_its_checks_uses_what_time_is_left(begun: int, called: int) -> None:
    start = MARKS.poc_validation_start
    assert MARKS.poc_validation_reveal == start + 10
    assert last_call(MARKS, start + begun) == start + called
    long = MARKS.__class__(poc_validation_start=0, poc_validation_reveal=240)
    assert (last_call(long), last_call(long, 200), last_call(long, 239)) == (192, 232, 239)


def test_time_is_counted_in_this_epochs_blocks() -> None:
    latest = epoch(1)
    now = moment(MARKS.poc_generation_end, latest)
    until = last_call(MARKS)
    assert seconds_left(now, until) == until - MARKS.poc_generation_end  # the fake head has no time: a second a block
    latest.created_time = 1
    assert seconds_left(moment(until + 1, latest), until) == 0
