"""The queue of checks, on both databases."""

import pytest

from pivot.api.database import Database
from pivot.api.validation.checks import Checks, Verdict, Wanted
from pivot.api.validation.tables import LONGEST_REASON, Kind, State
from pivot.protocol.generated.inference.inference.types_pb2 import AnswerVerdict


@pytest.fixture
async def checks(each_database: Database) -> Checks:
    """A queue with one duty in it."""
    queue = Checks(each_database)
    await queue.add(Kind.DUTY, [Wanted("id", 5, 0, "m", patience_height=10, deadline_height=20)])
    return queue


async def test_a19_what_another_host_says_cannot_keep_a_verdict_from_the_queue(checks: Checks) -> None:
    [check] = await checks.due(Kind.DUTY, 0, 1)
    said = "model is \0, not 'm'" + "x" * LONGEST_REASON
    await checks.later(check, 0, said)
    await checks.settle(check, Verdict(AnswerVerdict.ANSWER_FAILED, reason=said))
    [judged] = await checks.in_state(Kind.DUTY, State.JUDGED)
    assert judged.verdict == AnswerVerdict.ANSWER_FAILED
    assert judged.reason.startswith("model is \ufffd, not")
    assert len(judged.reason) == LONGEST_REASON


async def test_neither_duties_nor_votes_stand_before_the_other(checks: Checks) -> None:
    await checks.add(
        Kind.VOTE, [Wanted(f"vote {n}", 5, 0, "m", patience_height=10, deadline_height=20) for n in range(9)]
    )
    assert [each.inference_id for each in await checks.due(Kind.DUTY, 0, 4)] == ["id"]
    assert len(await checks.due(Kind.VOTE, 0, 4)) == 4


async def test_a_check_that_was_judged_meanwhile_is_neither_judged_nor_reported_again(checks: Checks) -> None:
    [check] = await checks.due(Kind.DUTY, 0, 1)
    await checks.settle(check, Verdict(AnswerVerdict.ANSWER_PASSED))
    await checks.mark([check], State.SENT, sent_key="key:1")
    await checks.settle(check, Verdict(AnswerVerdict.ANSWER_WITHHELD))
    await checks.later(check, 0, "busy")
    await checks.drop(check, "gone")
    [sent] = await checks.in_state(Kind.DUTY, State.SENT)
    assert (sent.verdict, sent.attempts) == (AnswerVerdict.ANSWER_PASSED, 0)
