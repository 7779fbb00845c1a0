"""What a vote comes to. Weight is compute power: that of the epoch whose members serve when the votes are counted.

Only members count, with the weight that they have then, whatever they had when they voted; who has become INVALID has no vote.
All comparisons are of whole numbers: an outcome that lies exactly on a threshold has not passed it (W-25).
"""

from dataclasses import dataclass
from enum import Enum

from cosmos.gov.v1.gov_pb2 import (
    VOTE_OPTION_ABSTAIN,
    VOTE_OPTION_NO,
    VOTE_OPTION_NO_WITH_VETO,
    VOTE_OPTION_YES,
    Params,
    TallyResult,
)

from pivot.chain.modules.epochs.state import effective_index
from pivot.chain.modules.gov.state import votes
from pivot.chain.modules.members.state import share
from pivot.chain.modules.participants.state import participant
from pivot.chain.types import Reader
from pivot.primitives.fixed_point import ONE
from pivot.protocol.decimals import parse
from pivot.protocol.generated.inference.inference.types_pb2 import ParticipantStatus

OPTIONS = (VOTE_OPTION_YES, VOTE_OPTION_ABSTAIN, VOTE_OPTION_NO, VOTE_OPTION_NO_WITH_VETO)


class Outcome(Enum):
    """What the members have decided."""

    PASSED = "passed"
    NO_QUORUM = "no quorum"
    NOBODY_DECIDED = "everybody abstained"
    VETOED = "vetoed"
    REJECTED = "rejected"


@dataclass(frozen=True)
class Tally:
    """Weight by option, 18 decimals, and the weight of all members, also of those who did not vote."""

    yes: int
    abstain: int
    no: int
    veto: int
    electorate: int

    @property
    def cast(self) -> int:
        """Weight of all who voted, 18 decimals."""
        return self.yes + self.abstain + self.no + self.veto

    def published(self) -> TallyResult:
        """Whole weights, rounded down."""
        return TallyResult(
            yes_count=str(self.yes // ONE),
            abstain_count=str(self.abstain // ONE),
            no_count=str(self.no // ONE),
            no_with_veto_count=str(self.veto // ONE),
        )


def count(state: Reader, proposal_id: int) -> Tally:
    """Count the votes of the members who serve now.

    Costs as much as votes were cast: proposals that nobody looks at cannot make a block long, however many members there are.
    """
    sums = dict.fromkeys(OPTIONS, 0)
    serving = effective_index(state)
    for cast in votes(state, proposal_id):
        weight, _ = share(state, serving, cast.voter)
        if weight and not _is_invalid(state, cast.voter):
            for option in cast.options:
                sums[option.option] += weight * parse(option.weight)
    yes, abstain, no, veto = (sums[option] for option in OPTIONS)
    _, electorate = share(state, serving, "")
    return Tally(yes, abstain, no, veto, electorate)


def _is_invalid(state: Reader, address: str) -> bool:
    """Whether a member has been found cheating since its epoch was formed: its vote does not count any more."""
    found = participant(state, address)
    return found is not None and found.status == ParticipantStatus.INVALID


def outcome(tally: Tally, rules: Params, *, expedited: bool) -> Outcome:
    """Decide by the published rules: quorum, then veto, then the share of yes among those who did not abstain."""
    if not tally.cast or tally.cast < tally.electorate * parse(rules.quorum):
        return Outcome.NO_QUORUM
    decided = tally.cast - tally.abstain
    if not decided:
        return Outcome.NOBODY_DECIDED
    if tally.veto * ONE > tally.cast * parse(rules.veto_threshold):
        return Outcome.VETOED
    threshold = parse(rules.expedited_threshold if expedited else rules.threshold)
    return Outcome.PASSED if tally.yes * ONE > decided * threshold else Outcome.REJECTED
