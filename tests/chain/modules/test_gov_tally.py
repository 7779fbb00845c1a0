"""What a vote comes to: weights are those of the epoch in force when the votes are counted."""

import cosmpy.protos  # noqa: F401
import pytest
from cosmos.gov.v1 import gov_pb2 as gov
from cosmos.gov.v1.gov_pb2 import Params, Vote, WeightedVoteOption
from hypothesis import given
from hypothesis import strategies as st

from pivot.chain.modules.epochs import state as epochs
from pivot.chain.modules.gov.state import put_vote
from pivot.chain.modules.gov.tally import Outcome, Tally, count, outcome
from pivot.chain.modules.members.state import put_group
from pivot.chain.modules.participants.state import put
from pivot.chain.types import Block
from pivot.primitives.fixed_point import ONE
from pivot.protocol.generated.inference.inference.types_pb2 import (
    EpochGroupData,
    Participant,
    ParticipantStatus,
    ValidationWeight,
)
from pivot.protocol.governance import gov_params
from tests.chain.chain import plain_block
from tests.chain.modules.governance import ABSTAIN, NO, VETO, YES, address

RULES = gov_params("mainnet")
PROPOSAL = 7


def members(block: Block, epoch: int, **weights: int) -> None:
    """Let these be the members of an epoch."""
    rows = [ValidationWeight(member_address=address(name), weight=weight) for name, weight in weights.items()]
    rows.sort(key=lambda row: row.member_address)
    put_group(block.state, EpochGroupData(epoch_index=epoch, validation_weights=rows))


def ballot(block: Block, name: str, *options: tuple[int, str]) -> None:
    each = [WeightedVoteOption(option=option, weight=weight) for option, weight in options]
    put_vote(block.state, Vote(proposal_id=PROPOSAL, voter=address(name), options=each))


def tally(yes: int = 0, abstain: int = 0, no: int = 0, veto: int = 0, electorate: int = 100) -> Tally:
    return Tally(yes * ONE, abstain * ONE, no * ONE, veto * ONE, electorate)


def test_a_members_vote_may_be_split() -> None:
    block = plain_block()
    members(block, 0, alice=30, bob=5)
    ballot(block, "alice", (YES, "0.5"), (ABSTAIN, "0.25"), (NO, "0.15"), (VETO, "0.1"))
    found = count(block.state, PROPOSAL)
    assert found == Tally(15 * ONE, 75 * ONE // 10, 45 * ONE // 10, 3 * ONE, 35)
    assert found.published() == gov.TallyResult(yes_count="15", abstain_count="7", no_count="4", no_with_veto_count="3")


def test_weights_that_change_in_mid_vote_are_counted_as_they_are_at_its_end() -> None:
    block = plain_block()
    members(block, 0, alice=90, bob=10)
    ballot(block, "alice", (YES, "1"))
    ballot(block, "bob", (NO, "1"))
    assert outcome(count(block.state, PROPOSAL), RULES, expedited=False) is Outcome.PASSED
    members(block, 1, alice=10, bob=30, carol=60)
    epochs.put(block.state, epochs.Epoch(index=1))
    block.state.set("inference", b"EffectiveEpochIndex/value/", (1).to_bytes(8))
    found = count(block.state, PROPOSAL)
    assert (found.yes, found.no, found.electorate) == (10 * ONE, 30 * ONE, 100)
    assert outcome(found, RULES, expedited=False) is Outcome.REJECTED


def test_votes_of_those_who_are_no_members_any_more_do_not_count() -> None:
    block = plain_block()
    members(block, 0, bob=10)
    ballot(block, "alice", (YES, "1"))
    assert count(block.state, PROPOSAL) == tally(electorate=10)
    assert outcome(count(block.state, PROPOSAL), RULES, expedited=False) is Outcome.NO_QUORUM


def test_a_member_that_has_become_invalid_has_no_vote_but_its_weight_stays_in_the_quorum() -> None:
    block = plain_block()
    members(block, 0, alice=30, bob=10)
    ballot(block, "alice", (YES, "1"))
    ballot(block, "bob", (NO, "1"))
    put(block.state, Participant(address=address("alice"), status=ParticipantStatus.INVALID))
    assert count(block.state, PROPOSAL) == tally(no=10, electorate=40)


def test_more_members_than_a_page_holds_are_all_counted() -> None:
    block = plain_block()
    names = [f"member {number}" for number in range(250)]
    members(block, 0, **dict.fromkeys(names, 2))
    for name in names:
        ballot(block, name, (YES, "1"))
    assert count(block.state, PROPOSAL) == tally(yes=500, electorate=500)


@pytest.mark.parametrize(
    ("found", "expedited", "expected"),
    [
        (tally(electorate=0), False, Outcome.NO_QUORUM),
        (tally(yes=33), False, Outcome.NO_QUORUM),
        (tally(yes=34), False, Outcome.PASSED),
        (tally(abstain=60), False, Outcome.NOBODY_DECIDED),
        (tally(yes=66, veto=34), False, Outcome.VETOED),
        (tally(yes=666, veto=334, electorate=1000), False, Outcome.PASSED),
        (tally(yes=21, no=20, abstain=59), False, Outcome.PASSED),
        (tally(yes=60, no=40), True, Outcome.REJECTED),
        (tally(yes=667, no=333, electorate=1000), True, Outcome.REJECTED),
        (tally(yes=668, no=332, electorate=1000), True, Outcome.PASSED),
    ],
)
def test_quorum_veto_and_threshold_are_the_published_ones(found: Tally, expedited: bool, expected: Outcome) -> None:
    assert outcome(found, RULES, expedited=expedited) is expected


def test_w25_exactly_half_passes_neither_a_proposal_nor_its_contrary() -> None:
    half = tally(yes=50, no=50)
    contrary = tally(yes=half.no // ONE, no=half.yes // ONE)
    assert outcome(half, RULES, expedited=False) is Outcome.REJECTED
    assert outcome(contrary, RULES, expedited=False) is Outcome.REJECTED


@given(*[st.integers(0, 1000)] * 4, st.sampled_from(["0.5", "0.667", "0.9"]))
def test_w25_a_proposal_and_its_contrary_never_both_pass(
    yes: int, abstain: int, no: int, veto: int, threshold: str
) -> None:
    rules = Params()
    rules.CopyFrom(RULES)
    rules.threshold = threshold
    cast = yes + abstain + no + veto
    one, other = tally(yes, abstain, no, veto, cast), tally(no + veto, abstain, yes, 0, cast)
    assert not (
        outcome(one, rules, expedited=False) is Outcome.PASSED
        and outcome(other, rules, expedited=False) is Outcome.PASSED
    )


def test_a_proposal_on_which_nobody_votes_costs_the_same_however_many_members_there_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    block = plain_block()
    members(block, 0, **{f"member{number}": 1 for number in range(300)})
    assert count(block.state, PROPOSAL) == tally(electorate=300)
    looked_up: list[bytes] = []
    get = block.state.get

    def counting(store: str, key: bytes) -> bytes | None:
        looked_up.append(key)
        return get(store, key)

    monkeypatch.setattr(block.state, "get", counting)
    count(block.state, PROPOSAL)
    assert len(looked_up) < 5
