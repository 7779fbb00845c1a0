"""Checks of answers by transactions alone, through the whole application: from the finish to the claim."""

from typing import Any

import cosmpy.protos  # noqa: F401  (puts the folder of the standard types on the path)
import pytest
from cosmos.base.abci.v1beta1.abci_pb2 import TxMsgData

from pivot.chain.errors import NetworkCode
from pivot.chain.modules.bank.state import REWARDS
from pivot.chain.modules.epochs.state import effective, effective_index, epoch
from pivot.chain.modules.inferences.state import inference
from pivot.chain.types import Block
from pivot.protocol.epochs import SEGMENTS, segment_end
from pivot.protocol.generated.inference.inference import query_pb2
from pivot.protocol.generated.inference.inference.params_pb2 import Decimal
from pivot.protocol.generated.inference.inference.tx_pb2 import (
    ItemResult,
    MsgClaimRewards,
    MsgRecordInferences,
    MsgRevealElement,
    MsgSubmitValidations,
    MsgSubmitValidationsResponse,
    MsgVoteDisputes,
    MsgVoteDisputesResponse,
)
from pivot.protocol.generated.inference.inference.types_pb2 import (
    AnswerVerdict,
    DisputeOutcome,
    DisputeVote,
    Inference,
    InferenceStatus,
    ValidationReport,
)
from pivot.protocol.hash_chain import element
from tests.chain.chain import CHAIN_ID, Chain, events_of, key
from tests.chain.requests import make_finish, make_start
from tests.chain.test_block import COINS, HOSTS, MODEL, REWARDS_SUPPLY, SECRET, declare, genesis, must, sprint

DEVELOPER = key("stranger")
QUERY = "inference.inference.Query"
PASSED, FAILED = AnswerVerdict.ANSWER_PASSED, AnswerVerdict.ANSWER_FAILED


def in_epoch_1() -> Chain:
    """Two hosts, each of whom checks every answer of the other; no duty may be missing."""
    document = genesis()
    document.params.validation_params.missing_duties_allowed.CopyFrom(Decimal(value=0))
    balances = {key(name).address: COINS for name in (*HOSTS, "stranger")} | {REWARDS: REWARDS_SUPPLY}
    chain = Chain(balances, document)
    for name in HOSTS:
        must(chain, name, declare(name))
    sprint(chain, {"alice": 60, "bob": 60})
    chain.block()
    return chain


def answered(chain: Chain, body: bytes) -> Inference:
    """A request that its executor has answered."""
    block = Block(chain.store.begin(), CHAIN_ID, chain.height, chain.time, b"")
    start = make_start(block, developer=DEVELOPER, model=MODEL, body=body, epoch=effective_index(chain.state))
    batch = MsgRecordInferences(creator=start.assigned_to, finishes=[make_finish(start)])
    must(chain, name_of(start.assigned_to), batch)
    found = inference(chain.state, start.inference_id)
    assert found is not None
    return found


def name_of(address: str) -> str:
    return next(name for name in HOSTS if key(name).address == address)


def other(address: str) -> str:
    """The host that checks this one."""
    return next(name for name in HOSTS if key(name).address != address)


def secret_element(name: str, segment: int) -> bytes:
    return element(CHAIN_ID, 1, key(name).address, SECRET, segment)


def reveal(chain: Chain, name: str, segments: range) -> None:
    for segment in segments:
        must(
            chain,
            name,
            MsgRevealElement(
                creator=key(name).address, epoch_index=1, segment=segment, element=secret_element(name, segment)
            ),
        )


def report(chain: Chain, name: str, answer: Inference, verdict: AnswerVerdict, **fields: Any) -> ItemResult:
    message = MsgSubmitValidations(
        creator=key(name).address,
        epoch_index=1,
        segment=answer.segment,
        reports=[ValidationReport(inference_id=answer.inference_id, verdict=verdict, value_e6=990_000)],
        **fields,
    )
    data = TxMsgData.FromString(must(chain, name, message))
    return MsgSubmitValidationsResponse.FromString(data.msg_responses[0].value).reports[0]


def test_d13_an_answer_is_checked_shared_and_claimed() -> None:
    chain = in_epoch_1()
    answer = answered(chain, b"first")
    checker = other(answer.executed_by)
    chain.advance(segment_end(effective(chain.state).boundaries, answer.segment))
    reveal(chain, checker, range(answer.segment))
    result = report(chain, checker, answer, PASSED, element=secret_element(checker, answer.segment))
    assert result.code == 0, result.log
    (event,) = events_of(chain.last.tx_results[0], "inference_validation")
    assert (event["validator"], event["passed"]) == (key(checker).address, "true")
    assert report(chain, checker, answer, PASSED).code == NetworkCode.ALREADY_DONE
    found = chain.query(f"{QUERY}/Inference", query_pb2.QueryGetInferenceRequest(index=answer.inference_id)).inference
    assert (found.status, list(found.validated_by)) == (InferenceStatus.VALIDATED, [key(checker).address])
    duties = chain.query(
        f"{QUERY}/CheckerDuties", query_pb2.QueryCheckerDutiesRequest(epoch_index=1, participant=key(checker).address)
    ).duties
    assert (duties.due, duties.done) == (1, 1)

    sprint(chain, {"alice": 60, "bob": 60})
    chain.block()
    before = chain.balance(key(checker).address)
    must(chain, checker, MsgClaimRewards(creator=key(checker).address, epoch_index=1))
    assert chain.balance(key(checker).address) > before


def test_w22_a_claim_without_its_checks_is_refused_until_they_are_done() -> None:
    chain = in_epoch_1()
    answer = answered(chain, b"first")
    checker = other(answer.executed_by)
    sprint(chain, {"alice": 60, "bob": 60})
    chain.block()
    claim = MsgClaimRewards(creator=key(checker).address, epoch_index=1)
    refused = chain.deliver(key(checker), claim)
    assert (refused.codespace, refused.code) == ("inference", NetworkCode.DUTIES_MISSING)
    assert "Inference not validated" in refused.log
    reveal(chain, checker, range(SEGMENTS))
    assert chain.deliver(key(checker), claim).code == NetworkCode.DUTIES_MISSING
    assert report(chain, checker, answer, PASSED).code == 0
    must(chain, checker, claim)


def test_w25_among_two_hosts_a_dispute_has_no_judge_and_lapses() -> None:
    chain = in_epoch_1()
    answer = answered(chain, b"first")
    checker = other(answer.executed_by)
    served = epoch(chain.state, 1)
    assert served is not None
    chain.advance(segment_end(served.boundaries, answer.segment))
    reveal(chain, checker, range(answer.segment + 1))
    assert report(chain, checker, answer, FAILED).code == 0
    vote = MsgVoteDisputes(
        creator=key(checker).address, votes=[DisputeVote(inference_id=answer.inference_id, invalid=True)]
    )
    data = TxMsgData.FromString(must(chain, checker, vote))
    refused = MsgVoteDisputesResponse.FromString(data.msg_responses[0].value).votes[0]
    assert refused.code == NetworkCode.ALREADY_DONE
    found = chain.query(f"{QUERY}/Dispute", query_pb2.QueryDisputeRequest(inference_id=answer.inference_id)).dispute
    assert found.outcome == DisputeOutcome.DISPUTE_LAPSED


@pytest.mark.parametrize("name", HOSTS)
def test_a_host_is_told_what_it_must_check(name: str) -> None:
    chain = in_epoch_1()
    for number in range(3):
        answered(chain, str(number).encode())
    page = chain.query(
        f"{QUERY}/InferenceValidationDetailsAll",
        query_pb2.QueryAllInferenceValidationDetailsRequest(epoch_index=1),
    )
    found = chain.query(
        f"{QUERY}/GetInferenceValidationParameters",
        query_pb2.QueryGetInferenceValidationParametersRequest(
            ids=[each.inference_id for each in page.inferenceValidationDetails], requester=key(name).address
        ),
    )
    assert list(found.details) == list(page.inferenceValidationDetails)
    assert found.validator_power == 60
