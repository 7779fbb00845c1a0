import asyncio
from collections.abc import AsyncIterator, Callable

import pytest

from pivot.api.database import Database
from pivot.api.identity import Identity
from pivot.api.poc.records import SprintRecord, keep_sprint
from pivot.api.rewards.revealer import Revealer, last_reveal
from pivot.protocol import hash_chain
from pivot.protocol.epochs import SEGMENTS, boundaries, segment_end
from pivot.protocol.generated.inference.inference.tx_pb2 import MsgCommitPoc
from pivot.protocol.generated.inference.inference.types_pb2 import PocNodeCommit
from tests.api.databases import ON_BOTH
from tests.api.fleet.chain import CHAIN_ID, FakeChain, FakeOutbox, FakePhases, epoch, group, until

pytestmark = ON_BOTH
SECRET = b"s" * 32
MARKS = epoch(1).boundaries


def accepted(chain: FakeChain) -> FakeOutbox:
    """An outbox whose reveals the chain takes at once."""

    def take(_key: str, message: object) -> int:
        chain.revealed[message.epoch_index] = message.segment + 1  # type: ignore[attr-defined]
        return 0

    return FakeOutbox(on_put=take)


@pytest.fixture
async def member(chain: FakeChain, identity: Identity, database: Database) -> FakeChain:
    """The chain in epoch 1, of which the host is a member with a commit."""
    chain.latest = chain.effective = epoch(1)
    chain.groups[1, ""] = group(1, {identity.address: []})
    commit = MsgCommitPoc(epoch_index=1, nodes=[PocNodeCommit(node_number=1, count=1)])
    await keep_sprint(database, SprintRecord(1, SECRET, commit))
    return chain


@pytest.fixture
def outbox(chain: FakeChain) -> FakeOutbox:
    return accepted(chain)


@pytest.fixture
def phases(chain: FakeChain) -> FakePhases:
    return FakePhases(chain)


@pytest.fixture
async def revealer(
    database: Database, identity: Identity, chain: FakeChain, outbox: FakeOutbox, phases: FakePhases
) -> AsyncIterator[Revealer]:
    revealer = Revealer(database, identity, chain, outbox, phases)
    await revealer.start()
    yield revealer
    await revealer.close()


async def blocks_until(phases: FakePhases, height: int, condition: Callable[[], bool]) -> None:
    """Make blocks until it is so."""
    start = height
    while not condition():
        await phases.at(height)
        await asyncio.sleep(0.01)
        height += 1
        assert height < start + 100


def revealed(outbox: FakeOutbox) -> list[int]:
    return [message.segment for message in outbox.messages.values()]  # type: ignore[attr-defined]


@pytest.mark.usefixtures("revealer")
async def test_an_element_is_revealed_when_its_segment_has_ended(
    member: FakeChain, outbox: FakeOutbox, phases: FakePhases, identity: Identity
) -> None:
    await phases.at(segment_end(MARKS, 0) - 1)
    assert revealed(outbox) == []
    await phases.at(segment_end(MARKS, 0))
    await until(lambda: revealed(outbox) == [0])
    message = outbox.messages["reveal:1:0"]
    assert message.element == hash_chain.element(CHAIN_ID, 1, identity.address, SECRET, 0)  # type: ignore[attr-defined]
    assert outbox.deadlines["reveal:1:0"] == last_reveal(MARKS)
    await blocks_until(phases, segment_end(MARKS, 2) + 1, lambda: revealed(outbox) == [0, 1, 2])


@pytest.mark.usefixtures("revealer")
async def test_missed_elements_are_caught_up_one_after_the_other(
    member: FakeChain, outbox: FakeOutbox, phases: FakePhases
) -> None:
    member.revealed[1] = 2
    await blocks_until(phases, segment_end(MARKS, 5) + 1, lambda: revealed(outbox)[:4] == [2, 3, 4, 5])


@pytest.mark.usefixtures("revealer")
async def test_elements_that_are_left_after_the_freeze_still_prove_their_duties(
    member: FakeChain, outbox: FakeOutbox, phases: FakePhases
) -> None:
    member.revealed[1] = 3
    await blocks_until(phases, MARKS.randomness_freeze, lambda: revealed(outbox)[:2] == [3, 4])


@pytest.mark.parametrize("restarted", [True, False])
async def test_the_last_elements_are_revealed_while_the_next_epoch_is_in_force(
    restarted: bool,
    member: FakeChain,
    outbox: FakeOutbox,
    phases: FakePhases,
    database: Database,
    identity: Identity,
) -> None:
    revealer = Revealer(database, identity, member, outbox, phases)
    await revealer.start()
    member.revealed[1] = SEGMENTS - 2
    await phases.at(segment_end(MARKS, SEGMENTS - 2))
    await until(lambda: revealed(outbox) == [SEGMENTS - 2])
    if restarted:
        await revealer.close()
        revealer = Revealer(database, identity, member, outbox, phases)
        await revealer.start()
    following = epoch(2, MARKS.next_poc_start)
    member.latest = member.effective = following
    switch = following.boundaries.set_new_validators
    await blocks_until(phases, switch, lambda: revealed(outbox) == [SEGMENTS - 2, SEGMENTS - 1])
    last = f"reveal:1:{SEGMENTS - 1}"
    assert outbox.deadlines[last] == switch + following.boundaries.next_poc_start - MARKS.next_poc_start - 1
    await revealer.close()


async def test_the_marks_of_the_epoch_before_are_its_own_whatever_the_next_ones_parameters(
    member: FakeChain, outbox: FakeOutbox, phases: FakePhases, database: Database, identity: Identity
) -> None:
    following = epoch(2, MARKS.next_poc_start)
    following.params.epoch_params.epoch_length *= 2
    following.boundaries.CopyFrom(boundaries(following.params.epoch_params, MARKS.next_poc_start))
    member.records_of_epochs[1] = epoch(1)
    member.latest = member.effective = following
    member.revealed[1] = SEGMENTS - 1
    revealer = Revealer(database, identity, member, outbox, phases)
    await revealer.start()
    await blocks_until(phases, segment_end(MARKS, SEGMENTS - 1), lambda: revealed(outbox) == [SEGMENTS - 1])
    assert outbox.deadlines[f"reveal:1:{SEGMENTS - 1}"] == last_reveal(MARKS)
    await revealer.close()


@pytest.mark.usefixtures("revealer")
async def test_a_member_whose_commit_the_chain_does_not_have_reveals_nothing(
    member: FakeChain, outbox: FakeOutbox, phases: FakePhases, caplog: pytest.LogCaptureFixture
) -> None:
    member.revealed[1] = None
    await blocks_until(phases, segment_end(MARKS, 0) + 1, lambda: "has no commit of this host" in caplog.text)
    asked = member.asked.count("HashChain")
    await phases.at(segment_end(MARKS, 3) + 1)
    assert member.asked.count("HashChain") == asked
    assert revealed(outbox) == []


@pytest.mark.usefixtures("revealer")
async def test_one_who_is_no_member_reveals_nothing(member: FakeChain, outbox: FakeOutbox, phases: FakePhases) -> None:
    member.groups[1, ""] = group(1, {"gonka1other": []})
    await phases.at(segment_end(MARKS, 3) + 1)
    await until(lambda: "EpochGroupData" in member.asked)
    assert revealed(outbox) == []


@pytest.mark.usefixtures("revealer")
async def test_a_member_that_carries_over_without_a_commit_reveals_nothing(
    member: FakeChain, outbox: FakeOutbox, phases: FakePhases, identity: Identity
) -> None:
    member.effective = epoch(2)
    member.groups[2, ""] = group(2, {identity.address: []})
    await phases.at(segment_end(MARKS, 3) + 1)
    await until(lambda: "EpochGroupData" in member.asked)
    assert not [key for key in outbox.messages if key.startswith("reveal:2:")]


@pytest.mark.usefixtures("revealer")
async def test_the_next_element_waits_for_the_one_before(
    member: FakeChain, outbox: FakeOutbox, phases: FakePhases
) -> None:
    outbox.on_put = lambda _key, _message: None
    start = segment_end(MARKS, 1) + 1
    await blocks_until(phases, start, lambda: revealed(outbox) == [0])
    for height in range(start, start + 3):
        await phases.at(height)
    assert revealed(outbox) == [0]
    outbox.done("reveal:1:0")
    await blocks_until(phases, start + 3, lambda: revealed(outbox) == [0, 1])


@pytest.mark.usefixtures("revealer")
async def test_an_element_that_the_chain_refuses_for_good_ends_it(
    member: FakeChain, outbox: FakeOutbox, phases: FakePhases, caplog: pytest.LogCaptureFixture
) -> None:
    outbox.on_put = lambda _key, _message: 9
    start = segment_end(MARKS, 3) + 1
    await blocks_until(phases, start, lambda: "refused element 0" in caplog.text)
    await phases.at(start + 12)
    assert revealed(outbox) == [0]


@pytest.mark.usefixtures("revealer")
async def test_an_element_that_the_chain_has_already_is_passed_over(
    member: FakeChain, outbox: FakeOutbox, phases: FakePhases
) -> None:
    def known(key: str, _message: object) -> int:
        member.revealed[1] = 1
        return 9 if key.endswith(":0") else 0

    outbox.on_put = known
    await blocks_until(phases, segment_end(MARKS, 1) + 1, lambda: revealed(outbox) == [0, 1])
