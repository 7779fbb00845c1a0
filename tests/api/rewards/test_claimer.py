from collections.abc import AsyncIterator

import pytest

from pivot.api.identity import Identity
from pivot.api.ledger.interface import ChainRefused, Outcome
from pivot.api.rewards.claimer import (
    DUTIES_MISSING,
    LAST_SHARE,
    MOST_CLAIMS,
    RETRY_BLOCKS,
    Claimer,
    last_claim,
)
from tests.api.fleet.chain import FakeChain, FakeOutbox, FakePhases, epoch, group, until

SECOND = epoch(2, 130)
MARKS = SECOND.boundaries


@pytest.fixture
def phases(chain: FakeChain) -> FakePhases:
    return FakePhases(chain)


class FakeDuties:
    """So many checks are still to be done."""

    left = 0

    async def missing(self, epoch: int) -> int:
        assert epoch == 1
        return self.left


@pytest.fixture
def duties() -> FakeDuties:
    return FakeDuties()


@pytest.fixture
async def claimer(
    identity: Identity, chain: FakeChain, outbox: FakeOutbox, phases: FakePhases, duties: FakeDuties
) -> AsyncIterator[Claimer]:
    chain.latest = chain.effective = SECOND
    chain.groups[1, ""] = group(1, {identity.address: []})
    claimer = Claimer(identity, chain, outbox, phases, duties)
    await claimer.start()
    yield claimer
    await claimer.close()


@pytest.mark.usefixtures("claimer")
async def test_an_ended_epoch_is_claimed_once_when_it_is_settled(
    chain: FakeChain, outbox: FakeOutbox, phases: FakePhases, identity: Identity
) -> None:
    await phases.at(MARKS.set_new_validators)
    assert not outbox.messages  # the chain has not settled yet
    chain.settled_epoch = 1
    for height in range(MARKS.claim_money, MARKS.claim_money + 5):
        await phases.at(height)
    await until(lambda: list(outbox.messages) == ["claim:1"])
    message = outbox.messages["claim:1"]
    assert (message.creator, message.epoch_index) == (identity.address, 1)  # type: ignore[attr-defined]
    assert outbox.deadlines["claim:1"] == last_claim(MARKS) == MARKS.set_new_validators + 119
    assert chain.asked.count("SettleAmount") == 2


@pytest.mark.usefixtures("claimer")
async def test_a15_a_claim_is_caught_up_in_the_middle_of_the_epoch(
    chain: FakeChain, outbox: FakeOutbox, phases: FakePhases
) -> None:
    chain.settled_epoch = 1
    await phases.at(MARKS.claim_money + 70)
    await until(lambda: list(outbox.messages) == ["claim:1"])


@pytest.mark.usefixtures("claimer")
async def test_one_who_was_no_member_claims_nothing(chain: FakeChain, outbox: FakeOutbox, phases: FakePhases) -> None:
    chain.groups[1, ""] = group(1, {"gonka1other": []})
    await phases.at(MARKS.claim_money)
    await phases.at(MARKS.claim_money + 1)
    assert not outbox.messages
    assert chain.asked.count("EpochGroupData") == 1


@pytest.mark.usefixtures("claimer")
async def test_before_the_second_epoch_there_is_nothing_to_claim(
    chain: FakeChain, outbox: FakeOutbox, phases: FakePhases
) -> None:
    chain.effective = epoch(1)
    await phases.at(100)
    assert not chain.asked


@pytest.mark.usefixtures("claimer")
async def test_another_refusal_than_not_found_is_reported(
    chain: FakeChain, phases: FakePhases, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def refuse(*_: object) -> None:
        raise ChainRefused(13, "grpc", "internal")

    monkeypatch.setattr(chain, "query", refuse)
    await phases.at(MARKS.claim_money)
    await until(lambda: "internal" in caplog.text)


@pytest.mark.usefixtures("claimer")
async def test_a_claim_waits_for_the_checks_that_are_still_to_be_done(
    chain: FakeChain, outbox: FakeOutbox, phases: FakePhases, duties: FakeDuties
) -> None:
    chain.settled_epoch, duties.left = 1, 3
    await phases.at(MARKS.claim_money)
    await phases.at(MARKS.claim_money + 30)
    assert not outbox.messages
    duties.left = 0
    await phases.at(MARKS.claim_money + 31)
    await until(lambda: list(outbox.messages) == ["claim:1"])


@pytest.mark.usefixtures("claimer")
async def test_near_the_end_of_its_time_an_epoch_is_claimed_whatever_is_missing(
    chain: FakeChain, outbox: FakeOutbox, phases: FakePhases, duties: FakeDuties
) -> None:
    chain.settled_epoch, duties.left = 1, 3
    last = last_claim(MARKS)
    await phases.at(last - (last - MARKS.claim_money) // LAST_SHARE)
    await until(lambda: list(outbox.messages) == ["claim:1"])


@pytest.mark.usefixtures("claimer")
async def test_w22_a_claim_that_was_refused_for_undone_checks_is_repeated(
    chain: FakeChain, outbox: FakeOutbox, phases: FakePhases, duties: FakeDuties
) -> None:
    chain.settled_epoch = 1
    outbox.on_put = lambda key, _: DUTIES_MISSING if key == "claim:1" else 0
    await phases.at(MARKS.claim_money)
    await phases.at(MARKS.claim_money + 1)
    assert list(outbox.messages) == ["claim:1"]  # not at once again
    duties.left = 1
    await phases.at(MARKS.claim_money + RETRY_BLOCKS)
    assert list(outbox.messages) == ["claim:1"]
    duties.left = 0
    await phases.at(MARKS.claim_money + RETRY_BLOCKS + 1)
    await until(lambda: list(outbox.messages) == ["claim:1", "claim:1:1"])
    await phases.at(MARKS.claim_money + 60)
    assert len(outbox.messages) == 2


@pytest.mark.usefixtures("claimer")
async def test_a_claim_that_was_refused_for_good_is_not_repeated(
    chain: FakeChain, outbox: FakeOutbox, phases: FakePhases, caplog: pytest.LogCaptureFixture
) -> None:
    chain.settled_epoch = 1
    outbox.on_put = lambda _key, _: 1118
    await phases.at(MARKS.claim_money)
    await phases.at(MARKS.claim_money + 20)
    await phases.at(MARKS.claim_money + 40)
    assert list(outbox.messages) == ["claim:1"]
    assert caplog.text.count("refused the claim of epoch 1") == 1


async def test_an_epoch_is_claimed_by_hand(
    claimer: Claimer, chain: FakeChain, outbox: FakeOutbox, phases: FakePhases, duties: FakeDuties
) -> None:
    outbox.on_put = lambda _key, _: 0
    assert (await claimer.recover(None, force=True)).message == "no epoch has ended"
    await phases.at(MARKS.claim_money)
    assert "claims are open for no epoch but 1" in (await claimer.recover(7, force=True)).message
    assert "settlement is under way" in (await claimer.recover(1, force=True)).message
    duties.left = 2
    chain.settled_epoch = 1
    waiting = await claimer.recover(None, force=False)
    assert (waiting.missed_validations, waiting.claim_executed) == (2, False)
    assert not outbox.messages
    forced = await claimer.recover(1, force=True)
    assert (forced.epoch_index, forced.claim_executed, forced.message) == (1, True, "claimed")
    again = await claimer.recover(1, force=True)
    assert (again.already_claimed, again.claim_executed) == (True, False)
    assert list(outbox.messages) == ["claim:1"]


async def test_a_claim_by_hand_says_what_the_chain_has_against_it(
    claimer: Claimer, chain: FakeChain, outbox: FakeOutbox, phases: FakePhases
) -> None:
    chain.settled_epoch = 1
    outbox.on_put = lambda _key, _: None
    await phases.at(MARKS.claim_money)
    await until(lambda: "claim:1" in outbox.messages)
    assert (await claimer.recover(1, force=True)).message == "the claim is on its way"
    outbox.outcomes["claim:1"] = Outcome("claim:1", done=True, code=DUTIES_MISSING, log="2 of 3 duties are undone")
    outbox.on_put = lambda _key, _: DUTIES_MISSING
    assert "refused" in (await claimer.recover(1, force=True)).message
    for _ in range(MOST_CLAIMS):
        last = await claimer.recover(1, force=True)
    assert f"claimed {MOST_CLAIMS} times" in last.message
    assert len(outbox.messages) == MOST_CLAIMS
