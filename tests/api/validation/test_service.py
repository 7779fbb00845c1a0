"""Checks from the end of a segment to the report, with a real engine: what honest hosts and cheats meet."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pivot.api.validation.checks import Checks
from pivot.api.validation.examiner import _is_about_text
from pivot.api.validation.service import AT_ONCE
from pivot.api.validation.tables import Kind, State
from pivot.protocol.generated.inference.inference.tx_pb2 import MsgSubmitValidations, MsgVoteDisputes
from pivot.protocol.generated.inference.inference.types_pb2 import AnswerVerdict, Inference
from tests.api.databases import ON_BOTH, DatabaseAt
from tests.api.fleet.chain import FakePhases, epoch, until
from tests.api.validation.network import EPOCH, MARKS, OVER, SEGMENT, CheckChain, Host, answered, element, host

PASSED, FAILED, WITHHELD = (
    AnswerVerdict.ANSWER_PASSED,
    AnswerVerdict.ANSWER_FAILED,
    AnswerVerdict.ANSWER_WITHHELD,
)


async def blocks_until(phases: FakePhases, condition: Callable[[], Any], *, begin: int = OVER, most: int = 60) -> int:
    """Make blocks until it is so; the height by then."""
    for height in range(begin, begin + most):
        await phases.at(height)
        for _ in range(40):
            if condition():
                return height
            await asyncio.sleep(0.01)
    raise AssertionError("it was not so in time")


async def verdict(phases: FakePhases, checker: Host, record: Inference) -> AnswerVerdict:
    """What a checker reports on an answer."""
    await blocks_until(phases, lambda: checker.sent(MsgSubmitValidations))
    [message] = checker.sent(MsgSubmitValidations)
    [report] = message.reports
    assert report.inference_id == record.inference_id
    return report.verdict  # type: ignore[no-any-return]


@pytest.fixture
def pair(chain: CheckChain, hosts: list[Host]) -> list[Host]:
    """Executor and checker, the only members: whatever the one answers the other checks."""
    chain.form({each.address: 10 for each in hosts[:2]})
    return hosts


@pytest.mark.parametrize(
    "fields",
    [
        {"temperature": 0},
        {"temperature": 1.0},
        {"temperature": 0.7, "top_p": 0.8, "stop": ["."]},
        {"temperature": 0, "ignore_eos": True, "max_tokens": 200},
        {"temperature": 1.5, "min_p": 0.2},
    ],
)
async def test_an_honest_answer_passes(
    chain: CheckChain, phases: FakePhases, pair: list[Host], engine_url: str, fields: dict[str, Any]
) -> None:
    record = await answered(pair[0], chain, engine_url, **fields)
    assert await verdict(phases, pair[1], record) == PASSED
    [message] = pair[1].sent(MsgSubmitValidations)
    assert (message.epoch_index, message.segment) == (EPOCH, SEGMENT)
    assert message.element == element(pair[1].address, SEGMENT)
    assert message.reports[0].value_e6 > 990_000
    assert not pair[0].sent(MsgSubmitValidations)  # nobody checks its own


def test_what_no_engine_can_replay_is_checked_by_its_artifact_alone() -> None:
    content = [{"type": "text", "text": "What is this?"}, {"type": "image_url", "image_url": {"url": "data:,"}}]
    assert not _is_about_text({"messages": [{"role": "user", "content": content}]})
    assert _is_about_text({"messages": [{"role": "user", "content": [{"type": "text", "text": "?"}]}, "odd"], "n": 1})
    assert _is_about_text({"messages": [{"role": "user", "content": "Two, please."}], "n": 2})  # no host accepts it
    assert _is_about_text({"prompt": "?"})


async def test_nothing_is_checked_before_its_segment_is_over_and_the_element_revealed(
    chain: CheckChain, phases: FakePhases, pair: list[Host], engine_url: str
) -> None:
    await answered(pair[0], chain, engine_url)
    await phases.at(OVER - 1)
    chain.elements = SEGMENT
    await phases.at(OVER)
    await asyncio.sleep(0.2)
    assert not await Checks(pair[1].database).in_state(Kind.DUTY, State.QUEUED)
    chain.elements = SEGMENT + 1
    await blocks_until(phases, lambda: pair[1].sent(MsgSubmitValidations), begin=OVER + 1)


def another_token(document: dict[str, Any]) -> None:
    document["token_ids"][3] += 1


def fewer_tokens(document: dict[str, Any]) -> None:
    document["token_ids"].pop()
    document["logprobs"].pop()


def cut_prompt(document: dict[str, Any]) -> None:
    document["prompt_token_ids"] = document["prompt_token_ids"][:1] * len(document["prompt_token_ids"])


def made_up_logprobs(document: dict[str, Any]) -> None:
    for position in document["logprobs"]:
        position[2] = [[text, -0.5 - rank] for rank, (text, _) in enumerate(position[2])]


def more_max_tokens(document: dict[str, Any]) -> None:
    document["max_tokens"] += 1


def other_text(document: dict[str, Any]) -> None:
    document["content"] += "!"


def no_logprobs(document: dict[str, Any]) -> None:
    document["logprobs"] = []


@pytest.mark.parametrize(
    "shaped",
    [another_token, fewer_tokens, cut_prompt, made_up_logprobs, more_max_tokens, other_text, no_logprobs],
)
async def test_m_item34_a19_other_tokens_other_length_or_no_log_probabilities_fail(
    chain: CheckChain, phases: FakePhases, pair: list[Host], engine_url: str, shaped: Callable[[dict[str, Any]], None]
) -> None:
    record = await answered(pair[0], chain, engine_url, shaped=shaped)
    assert await verdict(phases, pair[1], record) == FAILED


async def test_m_item34_a_host_that_never_leaves_anything_to_chance_fails_when_its_answers_together_show_it(
    chain: CheckChain, phases: FakePhases, pair: list[Host], engine_url: str
) -> None:
    """No single answer of a model that is so sure does."""
    texts = ["Who pays for a request?", "How do I become a host?", "Tell me about weight.", "What is a sprint?"]
    records = [
        await answered(pair[0], chain, engine_url, text, temperature=1.3, instead={"temperature": 0})
        for text in texts * 12
    ]
    messages = pair[1].outbox.messages
    reports: dict[str, AnswerVerdict] = {}

    def all_reported() -> bool:
        for message in pair[1].sent(MsgSubmitValidations):
            reports.update({report.inference_id: report.verdict for report in message.reports})
        return len(reports) == len(records)

    await blocks_until(phases, all_reported, most=200)
    assert messages
    found = list(reports.values())
    assert found.count(PASSED) > 10
    assert found.count(FAILED) > 5


@pytest.mark.parametrize("max_tokens", [1, 2, 4])
async def test_m_item34_a_short_answer_with_made_up_log_probabilities_fails(
    chain: CheckChain, phases: FakePhases, pair: list[Host], engine_url: str, max_tokens: int
) -> None:
    record = await answered(pair[0], chain, engine_url, shaped=made_up_logprobs, max_tokens=max_tokens)
    assert await verdict(phases, pair[1], record) == FAILED


async def test_an_artifact_that_is_not_handed_out_is_withheld_after_a_while(
    chain: CheckChain, phases: FakePhases, pair: list[Host], engine_url: str
) -> None:
    record = await answered(pair[0], chain, engine_url)
    pair[0].server.away = True
    await phases.at(OVER)
    await until(lambda: pair[0].server.asked > 1)
    assert not pair[1].sent(MsgSubmitValidations)
    patience = 2 * (MARKS.next_poc_start - MARKS.poc_start) // 24
    height = await blocks_until(phases, lambda: pair[1].sent(MsgSubmitValidations), begin=OVER + patience)
    assert height >= OVER + patience
    [message] = pair[1].sent(MsgSubmitValidations)
    assert (message.reports[0].inference_id, message.reports[0].verdict) == (record.inference_id, WITHHELD)


async def test_who_comes_late_asks_several_times_before_it_calls_an_artifact_withheld(
    chain: CheckChain, phases: FakePhases, pair: list[Host], engine_url: str
) -> None:
    record = await answered(pair[0], chain, engine_url)
    pair[0].server.away = True
    await phases.at(OVER)
    await until(lambda: pair[0].server.asked > 0)
    [check] = await Checks(pair[1].database).in_state(Kind.DUTY, State.QUEUED)
    await phases.at(check.patience_height)
    await until(lambda: pair[0].server.asked > 1)
    pair[0].server.away = False
    await blocks_until(phases, lambda: pair[1].sent(MsgSubmitValidations), begin=check.patience_height)
    [message] = pair[1].sent(MsgSubmitValidations)
    assert (message.reports[0].inference_id, message.reports[0].verdict) == (record.inference_id, PASSED)


async def test_another_document_than_the_signed_one_counts_as_none(
    chain: CheckChain, phases: FakePhases, pair: list[Host], engine_url: str
) -> None:
    record = await answered(pair[0], chain, engine_url)
    record.artifact_hash = "0" * 64
    await blocks_until(phases, lambda: pair[1].sent(MsgSubmitValidations), begin=OVER)
    assert pair[1].sent(MsgSubmitValidations)[0].reports[0].verdict == WITHHELD


async def test_a_busy_fleet_serves_customers_first_and_the_check_is_done_later(
    chain: CheckChain, phases: FakePhases, pair: list[Host], engine_url: str
) -> None:
    record = await answered(pair[0], chain, engine_url)
    pair[1].lender.busy = True
    await phases.at(OVER)
    await until(lambda: len(pair[1].lender.asked) > 2)
    assert all(pair[1].lender.asked)  # nothing but what is spare
    assert await pair[1].checking.missing(EPOCH) > 0
    pair[1].lender.busy = False
    assert await verdict(phases, pair[1], record) == PASSED


async def test_so_many_checks_are_under_way_at_a_time_and_no_more(
    chain: CheckChain, phases: FakePhases, pair: list[Host], engine_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    executor, checker, _ = pair
    records = [await answered(executor, chain, engine_url, max_tokens=2) for _ in range(9)]
    under_way, most, held = 0, 0, asyncio.Event()
    serve = executor.checking.artifacts.endpoint

    async def slowly(request: Any) -> Any:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await held.wait()
        under_way -= 1
        return await serve(request)

    monkeypatch.setattr(executor.checking.artifacts, "endpoint", slowly)
    await phases.at(OVER)
    await until(lambda: under_way == AT_ONCE[Kind.DUTY])
    await asyncio.sleep(0.1)
    held.set()
    await blocks_until(phases, lambda: checker.sent(MsgSubmitValidations), begin=OVER + 1)
    [message] = checker.sent(MsgSubmitValidations)
    assert sorted(each.inference_id for each in message.reports) == sorted(each.inference_id for each in records)
    assert most == AT_ONCE[Kind.DUTY]
    assert len(checker.lender.asked) == len(records)
    assert all(checker.lender.asked)  # on nodes that are idle


@ON_BOTH
async def test_a35_a_restart_loses_no_check(
    chain: CheckChain,
    phases: FakePhases,
    pair: list[Host],
    engine_url: str,
    tmp_path: Path,
    database_at: DatabaseAt,
) -> None:
    record = await answered(pair[0], chain, engine_url)
    home = tmp_path
    async with host(chain, phases, home, engine_url, 4, database_at) as before:
        chain.form({pair[0].address: 10, before.address: 10})
        before.lender.busy = True
        await phases.at(OVER)
        await until(lambda: before.lender.asked)
    async with host(chain, phases, home, engine_url, 4, database_at) as after:
        asked = chain.asked.count("InferenceValidationDetailsAll")
        assert await verdict(phases, after, record) == PASSED
        assert chain.asked.count("InferenceValidationDetailsAll") >= asked


async def test_reports_of_many_answers_travel_together_and_the_chain_has_the_last_word(
    chain: CheckChain, phases: FakePhases, pair: list[Host], engine_url: str
) -> None:
    chain.page_size = 2
    records = [await answered(pair[0], chain, engine_url, max_tokens=2) for _ in range(5)]
    pair[1].outbox.on_put = lambda _key, _message: 0
    await blocks_until(phases, lambda: pair[1].sent(MsgSubmitValidations))
    [message] = pair[1].sent(MsgSubmitValidations)
    assert sorted(report.inference_id for report in message.reports) == sorted(each.inference_id for each in records)
    chain.reported[pair[1].address] = [each.inference_id for each in records[:3]]
    chain.due[pair[1].address] = 5
    chain.elements = 24
    chain.latest = chain.effective = epoch(EPOCH + 1, MARKS.next_poc_start)
    switched = chain.effective.boundaries.set_new_validators + 1
    await blocks_until(phases, lambda: chain.asked.count("InferenceValidationDetailsAll") > 24, begin=switched)
    height = switched + 1
    while await pair[1].checking.missing(EPOCH) != 2:  # two of the five are not on the chain
        await phases.at(height := height + 1)
        await asyncio.sleep(0.05)
        assert height < switched + 100
    await blocks_until(phases, lambda: len(pair[1].sent(MsgSubmitValidations)) == 2, begin=height + 1)
    again = pair[1].sent(MsgSubmitValidations)[1]
    assert sorted(each.inference_id for each in again.reports) == sorted(each.inference_id for each in records[3:])


async def test_a_message_that_the_chain_refuses_is_sent_three_times(
    chain: CheckChain, phases: FakePhases, pair: list[Host], engine_url: str
) -> None:
    await answered(pair[0], chain, engine_url, max_tokens=2)
    pair[1].outbox.on_put = lambda _key, _message: 1205
    await blocks_until(phases, lambda: len(pair[1].outbox.messages) == 3)
    for height in range(OVER + 10, OVER + 14):
        await phases.at(height)
        await asyncio.sleep(0.05)
    assert len(pair[1].outbox.messages) == 3
    assert len(await Checks(pair[1].database).in_state(Kind.DUTY, State.DROPPED)) == 1


@pytest.mark.parametrize(("shaped", "invalid"), [(made_up_logprobs, True), (lambda _: None, False)])
async def test_d14_a_member_votes_after_its_own_replay(
    chain: CheckChain,
    phases: FakePhases,
    hosts: list[Host],
    engine_url: str,
    shaped: Callable[[dict[str, Any]], None],
    invalid: bool,
) -> None:
    executor, accuser, voter = hosts
    chain.elements = 0
    record = await answered(executor, chain, engine_url, shaped=shaped)
    chain.dispute(record, accuser.address, OVER + 20)
    await blocks_until(phases, lambda: voter.sent(MsgVoteDisputes))
    [message] = voter.sent(MsgVoteDisputes)
    assert [(vote.inference_id, vote.invalid) for vote in message.votes] == [(record.inference_id, invalid)]
    assert not executor.sent(MsgVoteDisputes)
    assert not accuser.sent(MsgVoteDisputes)


async def test_d14_a_voter_gets_the_artifact_from_the_accuser_when_the_executor_is_gone(
    chain: CheckChain, phases: FakePhases, hosts: list[Host], engine_url: str
) -> None:
    executor, accuser, voter = hosts
    chain.form({executor.address: 10, accuser.address: 10})
    record = await answered(executor, chain, engine_url, shaped=made_up_logprobs)
    assert await verdict(phases, accuser, record) == FAILED
    executor.server.away = True
    chain.form({each.address: 10 for each in hosts})
    chain.dispute(record, accuser.address, OVER + 50)
    await blocks_until(phases, lambda: voter.sent(MsgVoteDisputes), begin=OVER + 10)
    assert voter.sent(MsgVoteDisputes)[0].votes[0].invalid


async def test_d14_a_voter_that_gets_nothing_votes_against_the_executor_at_the_end(
    chain: CheckChain, phases: FakePhases, hosts: list[Host], engine_url: str
) -> None:
    executor, accuser, voter = hosts
    chain.elements = 0
    record = await answered(executor, chain, engine_url)
    executor.server.away = accuser.server.away = True
    chain.dispute(record, accuser.address, OVER + 20)
    await phases.at(OVER)
    await until(lambda: executor.server.asked)
    assert not voter.sent(MsgVoteDisputes)
    height = await blocks_until(phases, lambda: voter.sent(MsgVoteDisputes), begin=OVER + 14)
    assert OVER + 15 <= height <= OVER + 20
    assert voter.sent(MsgVoteDisputes)[0].votes[0].invalid


async def test_without_the_chain_checks_wait(
    chain: CheckChain, phases: FakePhases, pair: list[Host], engine_url: str
) -> None:
    record = await answered(pair[0], chain, engine_url)
    chain.down = True
    await phases.at(OVER)
    await asyncio.sleep(0.1)
    chain.down = False
    assert await verdict(phases, pair[1], record) == PASSED
