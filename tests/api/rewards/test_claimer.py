from collections.abc import AsyncIterator

import pytest

from pivot.api.identity import Identity
from pivot.api.ledger.interface import ChainRefused
from pivot.api.rewards.claimer import Claimer, last_claim
from tests.api.fleet.chain import FakeChain, FakeOutbox, FakePhases, epoch, group, until

SECOND = epoch(2, 130)
MARKS = SECOND.boundaries


@pytest.fixture
def phases(chain: FakeChain) -> FakePhases:
    return FakePhases(chain)


@pytest.fixture
async def _claimer(identity: Identity, chain: FakeChain, outbox: FakeOutbox, phases: FakePhases) -> AsyncIterator[None]:
    chain.latest = chain.effective = SECOND
    chain.groups[1, ""] = group(1, {identity.address: []})
    claimer = Claimer(identity, chain, outbox, phases)
    await claimer.start()
    yield
    await claimer.close()


@pytest.mark.usefixtures("_claimer")
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


@pytest.mark.usefixtures("_claimer")
async def test_a15_a_claim_is_caught_up_in_the_middle_of_the_epoch(
    chain: FakeChain, outbox: FakeOutbox, phases: FakePhases
) -> None:
    chain.settled_epoch = 1
    await phases.at(MARKS.claim_money + 70)
    await until(lambda: list(outbox.messages) == ["claim:1"])


@pytest.mark.usefixtures("_claimer")
async def test_one_who_was_no_member_claims_nothing(chain: FakeChain, outbox: FakeOutbox, phases: FakePhases) -> None:
    chain.groups[1, ""] = group(1, {"gonka1other": []})
    await phases.at(MARKS.claim_money)
    await phases.at(MARKS.claim_money + 1)
    assert not outbox.messages
    assert chain.asked.count("EpochGroupData") == 1


@pytest.mark.usefixtures("_claimer")
async def test_before_the_second_epoch_there_is_nothing_to_claim(
    chain: FakeChain, outbox: FakeOutbox, phases: FakePhases
) -> None:
    chain.effective = epoch(1)
    await phases.at(100)
    assert not chain.asked


@pytest.mark.usefixtures("_claimer")
async def test_another_refusal_than_not_found_is_reported(
    chain: FakeChain, phases: FakePhases, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def refuse(*_: object) -> None:
        raise ChainRefused(13, "grpc", "internal")

    monkeypatch.setattr(chain, "query", refuse)
    await phases.at(MARKS.claim_money)
    await until(lambda: "internal" in caplog.text)
