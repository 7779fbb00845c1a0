"""Parameters that a vote changes: when they take force, and what no vote can set."""

import cosmpy.protos  # noqa: F401
import pytest
from cosmos.consensus.v1 import tx_pb2 as engine
from cosmos.gov.v1 import gov_pb2 as gov
from google.protobuf.duration_pb2 import Duration
from tendermint.types.params_pb2 import ABCIParams, BlockParams, EvidenceParams, ValidatorParams

from pivot.chain.errors import NetworkCode, SdkCode
from pivot.chain.modules.epochs import state as epochs
from pivot.chain.modules.gov.authority import AUTHORITY
from pivot.chain.modules.params.engine import LEAST_BLOCK_BYTES, LEAST_BLOCK_GAS, MOST_BLOCK_BYTES
from pivot.chain.modules.params.state import consensus_params, params
from pivot.protocol.generated.inference.inference.params_pb2 import Params
from pivot.protocol.generated.inference.inference.query_pb2 import QueryParamsRequest
from pivot.protocol.generated.inference.inference.tx_pb2 import MsgUpdateParams
from pivot.protocol.parameters import preset_params
from tests.chain.chain import key
from tests.chain.modules.governance import Parliament, address
from tests.chain.modules.test_gov_messages import refusal, submission


def update(**epoch: int) -> MsgUpdateParams:
    changed = preset_params("test")
    for name, value in epoch.items():
        setattr(changed.epoch_params, name, value)
    return MsgUpdateParams(authority=AUTHORITY, params=changed)


def engine_update() -> engine.MsgUpdateParams:
    return engine.MsgUpdateParams(
        authority=AUTHORITY,
        block=BlockParams(max_bytes=2 * LEAST_BLOCK_BYTES, max_gas=LEAST_BLOCK_GAS),
        evidence=EvidenceParams(
            max_age_num_blocks=100_000, max_age_duration=Duration(seconds=172_800), max_bytes=2**20
        ),
        validator=ValidatorParams(pub_key_types=["ed25519"]),
    )


def test_w13_an_epoch_under_way_keeps_the_calendar_that_it_began_with() -> None:
    chain = Parliament()
    chain.advance(12)
    under_way = epochs.latest(chain.state)
    assert under_way.index == 1
    assert chain.pass_(update(epoch_length=80)).status == gov.PROPOSAL_STATUS_PASSED
    assert params(chain.state).epoch_params.epoch_length == 80
    assert epochs.latest(chain.state) == under_way
    chain.advance(under_way.boundaries.next_poc_start)
    upcoming = epochs.latest(chain.state)
    assert upcoming.index == 2
    assert upcoming.params.epoch_params.epoch_length == 80
    assert upcoming.boundaries.next_poc_start == upcoming.poc_start_block_height + 80
    chain.advance(upcoming.boundaries.next_poc_start)
    assert epochs.latest(chain.state).index == 3


def test_w22_parameters_of_a_vote_reach_no_epoch_that_has_begun() -> None:
    chain = Parliament()
    chain.advance(12)
    harder = update()
    harder.params.validation_params.missing_duties_allowed.value = 0
    chain.pass_(harder)
    found = epochs.latest(chain.state).params.validation_params.missing_duties_allowed
    assert found == preset_params("test").validation_params.missing_duties_allowed


def test_what_clients_read_can_be_proposed_again() -> None:
    """The query fills in who may transfer; that is no parameter, and is not kept."""
    chain = Parliament()
    told = chain.query("inference.inference.Query/Params", QueryParamsRequest()).params
    assert told.transfer_agent_access_params.allowed_transfer_addresses
    chain.pass_(MsgUpdateParams(authority=AUTHORITY, params=told))
    assert params(chain.state) == preset_params("test")


def test_parameters_that_would_break_the_network_cannot_be_proposed() -> None:
    wrong = update(epoch_length=5)
    refused = refusal(submission(wrong))
    assert (refused.code, "epoch_params.epoch_length" in refused.log) == (NetworkCode.INVALID_FIELD, True)
    assert refusal(MsgUpdateParams(authority=AUTHORITY, params=Params())).code == NetworkCode.INVALID_FIELD
    chain = Parliament()
    own = MsgUpdateParams(authority=address("alice"), params=preset_params("test"))
    assert chain.deliver(key("alice"), own).code == NetworkCode.NOT_GOVERNANCE


def test_parameters_that_have_become_wrong_since_they_were_proposed_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    chain = Parliament()
    proposal_id = chain.propose(update(epoch_length=4_000))
    chain.vote(proposal_id, gov.VOTE_OPTION_YES, "alice", "bob")
    monkeypatch.setattr("pivot.protocol.parameters.LONGEST_EPOCH_BLOCKS", 3_500)
    record = chain.decide(proposal_id)
    assert record.status == gov.PROPOSAL_STATUS_FAILED
    assert "epoch_length" in record.failed_reason


def test_the_engine_is_told_its_new_limits_once() -> None:
    chain = Parliament()
    assert not chain.last.HasField("consensus_param_updates")
    chain.pass_(engine_update())
    told = chain.last.consensus_param_updates
    assert (told.block.max_bytes, told.block.max_gas) == (2 * LEAST_BLOCK_BYTES, LEAST_BLOCK_GAS)
    assert told == consensus_params(chain.state)
    chain.block()
    assert not chain.last.HasField("consensus_param_updates")


def test_limits_of_a_proposal_that_fails_are_not_told() -> None:
    chain = Parliament()
    proposal_id = chain.propose(engine_update(), update(epoch_length=4_000))
    chain.vote(proposal_id, gov.VOTE_OPTION_YES, "alice", "bob")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("pivot.protocol.parameters.LONGEST_EPOCH_BLOCKS", 3_500)
        assert chain.decide(proposal_id).status == gov.PROPOSAL_STATUS_FAILED
    assert not chain.last.HasField("consensus_param_updates")
    assert chain.events("params_updated") == []


@pytest.mark.parametrize(
    ("part", "name", "value"),
    [
        ("block", "max_bytes", LEAST_BLOCK_BYTES - 1),
        ("block", "max_bytes", MOST_BLOCK_BYTES + 1),
        ("block", "max_bytes", -1),
        ("block", "max_gas", 0),
        ("block", "max_gas", -2),
        ("evidence", "max_age_num_blocks", 0),
        ("evidence", "max_bytes", 2 * LEAST_BLOCK_BYTES + 1),
        ("evidence", "max_bytes", -1),
    ],
)
def test_limits_on_which_the_engine_would_stop_are_refused_by_name(part: str, name: str, value: int) -> None:
    message = engine_update()
    setattr(getattr(message, part), name, value)
    refused = refusal(message)
    assert (refused.code, name in refused.log) == (SdkCode.INVALID_REQUEST, True)


def test_the_engine_has_no_other_keys_and_no_vote_extensions() -> None:
    message = engine_update()
    message.block.max_gas = -1
    message.abci.CopyFrom(ABCIParams(vote_extensions_enable_height=5))
    assert "vote_extensions" in refusal(message).log
    message.validator.pub_key_types.append("secp256k1")
    assert "pub_key_types" in refusal(message).log
    message.evidence.max_age_duration.nanos = 5
    assert "max_age_duration" in refusal(message).log
