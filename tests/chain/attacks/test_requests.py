"""Attacks with requests and with messages of the existing network that this one does not have, by signed transactions."""

from typing import Any

import cosmpy.protos  # noqa: F401  (puts the folder of the standard types on the path)
import pytest
from cosmos.authz.v1beta1.tx_pb2 import MsgExec
from cosmos.base.abci.v1beta1.abci_pb2 import TxMsgData
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from pivot.chain.errors import NetworkCode, SdkCode
from pivot.chain.modules.epochs.state import effective_index
from pivot.chain.modules.inferences.state import inference
from pivot.chain.modules.models.state import models
from pivot.chain.registry import MESSAGES
from pivot.chain.types import Block
from pivot.protocol.generated.inference.inference import query_pb2
from pivot.protocol.generated.inference.inference.tx_pb2 import (
    MsgFinishInference,
    MsgRecordInferences,
    MsgRecordInferencesResponse,
    MsgStartInference,
    MsgSubmitNewParticipant,
)
from pivot.protocol.generated.inference.inference.types_pb2 import Inference
from tests.chain.chain import CHAIN_ID, Chain, key
from tests.chain.requests import by_address, make_finish, make_start, sign_start
from tests.chain.test_block import HOSTS, MODEL, declare, must, new_chain, sprint

MALLORY, DEVELOPER = key("stranger"), key("developer of nothing")
QUERY = "inference.inference.Query"
PROMPT = b"my secret question"


@pytest.fixture(scope="module")
def chain() -> Chain:
    """Two hosts who serve in epoch 1, and a stranger with coins who is registered as a consumer."""
    made = new_chain()
    for name in HOSTS:
        must(made, name, declare(name))
    must(made, "stranger", MsgSubmitNewParticipant(creator=MALLORY.address))
    sprint(made, {"alice": 60, "bob": 60})
    return made


def started(chain: Chain, **options: Any) -> MsgStartInference:
    block = Block(chain.store.begin(), CHAIN_ID, chain.height, chain.time, b"")
    given = {"developer": MALLORY, "model": MODEL, "epoch": effective_index(chain.state), **options}
    return make_start(block, **given)


def finished(chain: Chain, finish: MsgFinishInference) -> int:
    """The code of a finish that its creator sends."""
    return int(chain.deliver(by_address(finish.creator), finish).code)


# Whom an executor may trust


def test_a18_work_for_a_transfer_agent_that_is_no_host_is_no_inference(chain: Chain) -> None:
    """Anybody who had registered could send work to any host, and have it paid or not."""
    start = started(chain, agent="stranger", body=b"agent")
    before = chain.balance(MALLORY.address)
    assert finished(chain, make_finish(start)) == NetworkCode.PARTICIPANT_NOT_FOUND
    result = chain.deliver(MALLORY, MsgRecordInferences(creator=MALLORY.address, starts=[start]))
    data = TxMsgData.FromString(result.data).msg_responses[0].value
    (item,) = MsgRecordInferencesResponse.FromString(data).starts
    assert item.code == NetworkCode.PARTICIPANT_NOT_FOUND
    assert inference(chain.state, start.inference_id) is None
    assert chain.balance(MALLORY.address) == before


def test_a18_an_id_that_is_not_the_developers_signature_opens_nothing(chain: Chain) -> None:
    """A developer who never asked would pay for what agent and executor have made up."""
    start = started(chain, body=b"forged")
    forged = started(chain, developer=key("alice"), body=b"forged")
    start.inference_id = forged.inference_id
    start.assigned_to = forged.assigned_to
    sign_start(start)
    assert finished(chain, make_finish(start)) == NetworkCode.INVALID_SIGNATURE
    assert inference(chain.state, start.inference_id) is None


def test_a18_a_developer_who_cannot_pay_gets_nothing_on_credit(chain: Chain) -> None:
    """Neither has coins, nor has the transfer agent named an account that pays."""
    start = started(chain, developer=DEVELOPER, body=b"credit")
    assert finished(chain, make_finish(start)) == NetworkCode.REQUESTER_CANNOT_PAY
    assert inference(chain.state, start.inference_id) is None


def test_a5_a_finish_that_an_outbox_sends_twice_is_paid_once(chain: Chain) -> None:
    """A time-out that only the local clock had seen had the same finish sent and paid again."""
    start = started(chain, body=b"twice")
    finish = make_finish(start)
    assert finished(chain, finish) == 0
    paid = chain.balance(MALLORY.address)
    assert finished(chain, finish) == NetworkCode.ALREADY_DONE
    batch = MsgRecordInferences(creator=finish.creator, finishes=[finish, finish])
    result = chain.deliver(by_address(finish.creator), batch)
    data = TxMsgData.FromString(result.data).msg_responses[0].value
    items = MsgRecordInferencesResponse.FromString(data).finishes
    assert [item.code for item in items] == [NetworkCode.ALREADY_DONE] * 2
    assert chain.balance(MALLORY.address) == paid


def test_a31_a_request_that_everybody_can_read_serves_nobody_else(chain: Chain) -> None:
    """Signature, time stamp and body hash are public once the start is on the chain: whoever copies them gets nothing."""
    start = started(chain, body=b"copied")
    copied = MsgStartInference()
    copied.CopyFrom(start)
    copied.creator = copied.transferred_by = key("bob").address
    sign_start(copied, "bob")
    assert chain.deliver(key("bob"), copied).code == NetworkCode.INVALID_SIGNATURE
    assert chain.deliver(key("alice"), start).code == 0
    assert chain.deliver(key("alice"), start).code == NetworkCode.INFERENCE_ID_EXISTS
    assert chain.deliver(key("bob"), copied).code == NetworkCode.INFERENCE_ID_EXISTS


# What is on the chain of a request


def texts(kind: type[Message]) -> set[str]:
    """Names of a message's own fields of text or bytes."""
    wide = {FieldDescriptor.TYPE_STRING, FieldDescriptor.TYPE_BYTES}
    return {field.name for field in kind.DESCRIPTOR.fields if field.type in wide}


PUBLISHED_PAYLOADS = {"prompt_payload", "original_prompt", "response_payload"}


def test_a33_no_message_and_no_record_has_a_place_for_a_prompt_or_an_answer() -> None:
    for kind in (MsgStartInference, MsgFinishInference, Inference):
        assert not PUBLISHED_PAYLOADS & texts(kind)


@pytest.mark.parametrize(
    ("field", "value"),
    [("prompt_hash", PROMPT.decode()), ("node_version", "v" * 65), ("model", "m" * 257)],
)
def test_a33_a_prompt_in_the_place_of_another_field_is_refused(chain: Chain, field: str, value: str) -> None:
    start = started(chain, body=PROMPT)
    setattr(start, field, value)
    sign_start(start)
    result = chain.deliver(key("alice"), start)
    assert result.code == NetworkCode.INVALID_FIELD, result.log
    assert field in result.log


@pytest.mark.parametrize("number", [4, 5, 15])
def test_a33_a_field_that_the_message_does_not_have_is_refused(chain: Chain, number: int) -> None:
    """Python's protobuf keeps unknown fields silently: prompts would stand in blocks all the same."""
    start = started(chain, body=PROMPT)
    raw = start.SerializeToString() + bytes([number << 3 | 2, len(PROMPT)]) + PROMPT
    smuggled = MsgExec(
        grantee=key("alice").address, msgs=[AnyMessage(type_url="/inference.inference.MsgStartInference", value=raw)]
    )
    assert chain.deliver(key("alice"), smuggled).code == SdkCode.TX_DECODE


# What the existing network has, and this one does not


def refusal_of(chain: Chain, name: str) -> int:
    """The code with which a message of this type is refused."""
    carried = AnyMessage(type_url=name)
    return int(chain.deliver(MALLORY, MsgExec(grantee=MALLORY.address, msgs=[carried])).code)


def test_w19_there_is_no_bridge_that_could_mint(chain: Chain) -> None:
    assert refusal_of(chain, "/inference.inference.MsgBridgeExchange") == SdkCode.UNKNOWN_REQUEST


@pytest.mark.parametrize("name", ["MsgSubmitDealerPart", "MsgSubmitPartialSignature", "MsgRequestThresholdSignature"])
def test_w23_there_is_no_threshold_key_that_could_be_forged(chain: Chain, name: str) -> None:
    assert refusal_of(chain, f"/inference.bls.{name}") == SdkCode.UNKNOWN_REQUEST


def test_w27_no_message_writes_any_training_task(chain: Chain) -> None:
    assert refusal_of(chain, "/inference.inference.MsgCreateDummyTrainingTask") == SdkCode.UNKNOWN_REQUEST


@pytest.mark.parametrize("name", ["/cosmos.staking.v1beta1.MsgCreateValidator", "/cosmos.staking.v1beta1.MsgDelegate"])
def test_w9_nobody_becomes_a_validator_by_a_message(chain: Chain, name: str) -> None:
    assert refusal_of(chain, name) == SdkCode.UNKNOWN_REQUEST


def test_w18_no_message_makes_or_burns_coins(chain: Chain) -> None:
    """The published chain mints by default parameters that nobody had looked at."""
    assert refusal_of(chain, "/cosmos.mint.v1beta1.MsgUpdateParams") == SdkCode.UNKNOWN_REQUEST
    assert refusal_of(chain, "/inference.genesistransfer.MsgTransferOwnership") == SdkCode.UNKNOWN_REQUEST
    assert not any("mint" in url.lower() or "burn" in url.lower() for url in MESSAGES.all())


# Queries


def test_w26_every_model_tells_its_capacity_and_its_price(chain: Chain) -> None:
    capacities = chain.query(f"{QUERY}/GetAllModelCapacities", query_pb2.QueryGetAllModelCapacitiesRequest())
    prices = chain.query(f"{QUERY}/GetAllModelPerTokenPrices", query_pb2.QueryGetAllModelPerTokenPricesRequest())
    known = [model.id for model in models(chain.state)]
    assert known == [each.model_id for each in capacities.model_capacities]
    assert known == [each.model_id for each in prices.model_prices]
    assert all(each.capacity > 0 for each in capacities.model_capacities)


def test_w26_epoch_0_has_no_answers_to_check_and_breaks_nothing() -> None:
    fresh = new_chain()
    asked = query_pb2.QueryGetInferenceValidationParametersRequest(ids=["A" * 88], requester=key("alice").address)
    found = fresh.query(f"{QUERY}/GetInferenceValidationParameters", asked)
    assert list(found.details) == []
