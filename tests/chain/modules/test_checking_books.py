"""Whatever is answered, reported, voted and claimed in whatever order: no coin appears, vanishes, or is paid twice."""

from contextlib import suppress

from hypothesis import given, settings
from hypothesis import strategies as st

from pivot.chain.errors import Rejection
from pivot.chain.modules.epochs import state as epochs
from pivot.chain.modules.inferences.answers import segment_at
from pivot.chain.modules.randomness.state import chain
from pivot.protocol.epochs import SEGMENTS, ended_segments
from pivot.protocol.generated.inference.inference.params_pb2 import Decimal
from tests.chain.chain import key
from tests.chain.modules.checking import FAILED, PASSED, WITHHELD, Checking, checking_params

FIVE = {"alice": 100, "bob": 60, "carol": 40, "dave": 20, "erin": 60}
NAMES = sorted(FIVE)
host = st.sampled_from(NAMES)
operations = st.lists(
    st.one_of(
        st.tuples(st.just("answer"), host, st.sampled_from([0, 1, 30, 5_000])),
        st.tuples(st.just("segments"), host, st.integers(1, 3)),
        st.tuples(st.just("report"), host, st.sampled_from([PASSED, PASSED, FAILED, WITHHELD])),
        st.tuples(st.just("vote"), host, st.booleans()),
        st.tuples(st.just("switch"), host, st.just(0)),
        st.tuples(st.just("claim"), host, st.just(0)),
    ),
    min_size=5,
    max_size=40,
)


def reveal_all(network: Checking, name: str, epoch: int) -> None:
    """Everything that the host may reveal of an epoch now."""
    served = epochs.epoch(network.state, epoch)
    found = chain(network.state, epoch, key(name).address)
    if served is None or found is None:
        return
    ended = ended_segments(served.boundaries, network.block.height)
    last = ended - 1 if epochs.effective_index(network.state) > epoch else min(ended, SEGMENTS - 1) - 1
    network.reveal(name, last, epoch)


@settings(max_examples=40, deadline=None)
@given(operations, st.booleans())
def test_no_sequence_of_checks_breaks_the_books(steps: list[tuple[str, str, int]], everything: bool) -> None:
    allowed = Decimal(value=1 if everything else 0)
    network = Checking(FIVE, params=checking_params(missing_duties_allowed=allowed))
    answers: list[str] = []
    for kind, name, detail in steps:
        if kind == "answer":
            with suppress(Rejection):  # an INVALID executor
                answers.append(network.answer(name, completion_token_count=detail))
        elif kind == "segments":
            served = epochs.effective(network.state)
            segment = min(segment_at(served, network.block.height) + detail, SEGMENTS - 2)
            if segment > segment_at(served, network.block.height):
                network.after_segment(segment)
        elif kind == "report":
            for epoch in sorted({network.record(each).finished_epoch_id for each in answers}):
                if epoch >= epochs.effective_index(network.state) - 1:
                    report_some(network, name, epoch, answers, detail)
        elif kind == "vote":
            for each in answers:
                network.vote(name, each, invalid=bool(detail))
        elif kind == "switch" and epochs.effective_index(network.state) < 3:
            network.switch()
        elif kind == "claim":
            with suppress(Rejection):
                network.claim(name, epochs.effective_index(network.state) - 1)
        network.check()


def report_some(network: Checking, name: str, epoch: int, answers: list[str], verdict: int) -> None:
    """Reports on all answers of the segments that the host may report on."""
    reveal_all(network, name, epoch)
    records = [network.record(each) for each in answers]
    for segment in sorted({each.segment for each in records if each.finished_epoch_id == epoch}):
        ids = {each.inference_id: verdict for each in records if each.segment == segment}
        with suppress(Rejection):  # the segment is not over, or the host is INVALID
            network.deliver(network.reports(name, segment, ids, epoch))
