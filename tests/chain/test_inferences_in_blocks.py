"""Requests from their batch to their claim, by transactions alone, through the whole application."""

from typing import Any

import cosmpy.protos  # noqa: F401  (puts the folder of the standard types on the path)
import pytest
from cosmos.authz.v1beta1.authz_pb2 import GenericAuthorization, Grant
from cosmos.authz.v1beta1.tx_pb2 import MsgExec, MsgGrant
from cosmos.base.abci.v1beta1.abci_pb2 import TxMsgData
from cosmos.base.query.v1beta1.pagination_pb2 import PageRequest

from pivot.chain.errors import NetworkCode
from pivot.chain.modules.epochs.state import effective, effective_index
from pivot.chain.modules.inferences.invariants import check_escrow, check_records
from pivot.chain.modules.inferences.state import inference
from pivot.chain.types import Block
from pivot.protocol.generated.inference.inference.query_pb2 import (
    QueryAllInferenceRequest,
    QueryGetInferenceRequest,
    QueryGetParticipantRequest,
)
from pivot.protocol.generated.inference.inference.tx_pb2 import (
    ItemResult,
    MsgClaimRewards,
    MsgFinishInference,
    MsgRecordInferences,
    MsgRecordInferencesResponse,
    MsgStartInference,
)
from pivot.protocol.generated.inference.inference.types_pb2 import InferenceStatus
from pivot.protocol.messages import pack, type_url
from pivot.protocol.parameters import preset_params
from tests.chain.chain import CHAIN_ID, Chain, events_of, key
from tests.chain.requests import by_address, make_finish, make_start
from tests.chain.test_block import COINS, HOSTS, MODEL, declare, must, new_chain, sprint

DEVELOPER = key("stranger")
PRICE = preset_params("test").dynamic_pricing_params.base_per_token_price
COST = (15 + 30) * PRICE
ESCROWED = (20 + 100) * PRICE
QUERY = "inference.inference.Query"


@pytest.fixture(scope="module")
def epoch_1() -> Chain:
    """A chain whose two hosts serve in epoch 1. The tests that share it use different requests."""
    chain = new_chain()
    for name in HOSTS:
        must(chain, name, declare(name))
    sprint(chain, {"alice": 60, "bob": 60})
    return chain


def started(chain: Chain, body: bytes, **options: Any) -> MsgStartInference:
    block = Block(chain.store.begin(), CHAIN_ID, chain.height, chain.time, b"")
    epoch = effective_index(chain.state)
    return make_start(block, developer=DEVELOPER, model=MODEL, body=body, epoch=epoch, **options)


def record(chain: Chain, name: str, **items: Any) -> list[ItemResult]:
    """A batch in a transaction; the results of its items."""
    data = must(chain, name, MsgRecordInferences(creator=key(name).address, **items))
    check_escrow(chain.state)
    check_records(chain.state)
    response = MsgRecordInferencesResponse.FromString(TxMsgData.FromString(data).msg_responses[0].value)
    return [*response.starts, *response.finishes]


def name_of(address: str) -> str:
    return next(name for name in HOSTS if key(name).address == address)


def test_a_request_is_started_by_one_host_and_finished_by_the_other(epoch_1: Chain) -> None:
    chain = epoch_1
    before = chain.balance(DEVELOPER.address)
    start = started(chain, b"first")
    assert [result.code for result in record(chain, "alice", starts=[start])] == [0]
    assert events_of(chain.last.tx_results[0], "inference_started")[0]["inference_id"] == start.inference_id
    assert chain.balance(DEVELOPER.address) == before - ESCROWED
    executor = name_of(start.assigned_to)
    assert [result.code for result in record(chain, executor, finishes=[make_finish(start)])] == [0]
    assert events_of(chain.last.tx_results[0], "inference_finished")[0]["inference_id"] == start.inference_id
    assert chain.balance(DEVELOPER.address) == before - COST

    found = chain.query(f"{QUERY}/Inference", QueryGetInferenceRequest(index=start.inference_id)).inference
    assert found.status == InferenceStatus.FINISHED
    assert (found.actual_cost, found.escrow_returned, found.executed_by) == (COST, ESCROWED - COST, start.assigned_to)
    newest = chain.query(
        f"{QUERY}/InferenceAll", QueryAllInferenceRequest(pagination=PageRequest(limit=1, reverse=True))
    )
    assert [each.inference_id for each in newest.inference] == [start.inference_id]
    host = chain.query(f"{QUERY}/Participant", QueryGetParticipantRequest(index=start.assigned_to)).participant
    assert host.coin_balance >= COST
    assert host.current_epoch_stats.inference_count >= 1


def test_w3_the_same_finish_in_a_later_transaction_is_refused_as_an_item(epoch_1: Chain) -> None:
    start = started(epoch_1, b"again")
    finish = make_finish(start)
    executor = name_of(start.assigned_to)
    assert record(epoch_1, executor, finishes=[finish])[0].code == 0
    before = epoch_1.balance(DEVELOPER.address)
    assert record(epoch_1, executor, finishes=[finish])[0].code == NetworkCode.ALREADY_DONE
    assert epoch_1.balance(DEVELOPER.address) == before


def test_a_single_finish_is_a_transaction_of_its_own(epoch_1: Chain) -> None:
    start = started(epoch_1, b"single")
    result = epoch_1.deliver(by_address(start.assigned_to), make_finish(start))
    assert result.code == 0, result.log
    refused = epoch_1.deliver(by_address(start.assigned_to), make_finish(start))
    assert (refused.codespace, refused.code) == ("inference", NetworkCode.ALREADY_DONE)
    check_escrow(epoch_1.state)


def test_a_stranger_cannot_speak_for_a_host(epoch_1: Chain) -> None:
    start = started(epoch_1, b"stranger")
    refused = epoch_1.deliver(key("stranger"), make_finish(start))
    assert refused.code != 0
    assert inference(epoch_1.state, start.inference_id) is None


def test_a_warm_key_carries_a_batch_for_its_host(epoch_1: Chain) -> None:
    chain, warm = epoch_1, key("stranger")
    start = started(chain, b"warm")
    executor = name_of(start.assigned_to)
    for message_type in (MsgRecordInferences, MsgStartInference):
        permission = Grant(authorization=pack(GenericAuthorization(msg=type_url(message_type))))
        must(chain, executor, MsgGrant(granter=start.assigned_to, grantee=warm.address, grant=permission))
    finish: MsgFinishInference = make_finish(start, executor=warm)
    batch = MsgRecordInferences(creator=start.assigned_to, finishes=[finish])
    result = chain.deliver(warm, MsgExec(grantee=warm.address, msgs=[pack(batch)]))
    assert result.code == 0, result.log
    found = inference(chain.state, start.inference_id)
    assert found is not None
    assert found.status == InferenceStatus.FINISHED


def test_work_of_an_epoch_is_claimed_in_the_next() -> None:
    chain = new_chain()
    for name in HOSTS:
        must(chain, name, declare(name))
    sprint(chain, {"alice": 60, "bob": 60})
    starts = [started(chain, str(number).encode()) for number in range(6)]
    for start in starts:
        assert record(chain, name_of(start.assigned_to), finishes=[make_finish(start)])[0].code == 0
    lost = started(chain, b"never answered")
    assert record(chain, "alice", starts=[lost])[0].code == 0
    sprint(chain, {"alice": 60, "bob": 60})
    chain.block()
    check_escrow(chain.state)
    reward = preset_params("test").reward_params.initial_epoch_reward
    for name in HOSTS:
        must(chain, name, MsgClaimRewards(creator=key(name).address, epoch_index=1))
        work = COST * sum(start.assigned_to == key(name).address for start in starts)
        assert chain.balance(key(name).address) == COINS + reward // 2 + work
        check_escrow(chain.state)
    assert effective(chain.state).index == 2
