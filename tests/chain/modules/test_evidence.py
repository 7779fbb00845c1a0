"""Who signs two blocks of one height is slashed and jailed for ever, whatever key it has by then."""

from typing import Any

import pytest
from cosmos.evidence.v1beta1 import query_pb2
from cosmos.evidence.v1beta1.evidence_pb2 import Equivocation
from google.protobuf import json_format
from tendermint.abci import types_pb2 as abci
from tendermint.types.params_pb2 import ConsensusParams

from pivot.chain.errors import Rejection, SdkCode
from pivot.chain.modules.bank.state import COLLATERAL, COMMUNITY_POOL, balance, put_genesis_balance
from pivot.chain.modules.collateral.state import collateral, put_collateral
from pivot.chain.modules.evidence import genesis
from pivot.chain.modules.evidence.invariants import check_evidence
from pivot.chain.modules.evidence.misbehaviour import note_misbehaviours
from pivot.chain.modules.evidence.queries import QUERIES
from pivot.chain.modules.evidence.state import all_evidence, put_evidence
from pivot.chain.modules.params.state import set_consensus_params
from pivot.chain.modules.participants import state as participants
from pivot.chain.modules.slashing.messages import MESSAGES as SLASHING
from pivot.chain.modules.slashing.state import Sentence, put_sentence, sentence
from pivot.chain.types import Misbehaviour
from pivot.primitives.addresses import consensus_address, consensus_text, operator
from pivot.primitives.hashes import sha256
from pivot.protocol.generated.inference.inference.types_pb2 import ParticipantStatus
from pivot.protocol.messages import type_url
from tests.chain.chain import LONE_KEY, Chain, consensus_key, key, plain_block
from tests.chain.modules.network import Network, node

HOSTS = ("alice", "bob", "carol")
CAROL = key("carol").address
_ANSWERS = {handler.method.name: handler.answer for handler in QUERIES}


def caught(network: Network, name: str = "carol", *, height: int = 3, time: int | None = None) -> None:
    """The engine brings evidence against a consensus key, by name."""
    at = network.block.time if time is None else time
    network.block.misbehaviours = (Misbehaviour(consensus_address(consensus_key(name)), 10, height, at),)
    note_misbehaviours(network.block)


@pytest.fixture
def network() -> Network:
    """Carol has 1,000 ngonka of collateral."""
    found = Network(hardware={name: [node(0)] for name in HOSTS})
    put_genesis_balance(found.state, COLLATERAL, 1000)
    put_collateral(found.state, CAROL, 1000)
    found.advance(5)
    return found


def ask(network: Network, method: str, request: Any) -> Any:
    return _ANSWERS[method](network.view, request)


def test_who_signs_twice_loses_a_twentieth_and_its_power_for_ever(network: Network) -> None:
    caught(network)
    block = network.block
    network.advance(6)
    assert network.powers() == {"alice": 30, "bob": 20}
    assert collateral(network.state, CAROL) == 950
    assert balance(network.state, COMMUNITY_POOL) == 50
    assert sentence(network.state, CAROL) == Sentence(0, for_ever=True)
    name = consensus_text(consensus_address(consensus_key("carol")))
    (told,) = [dict(event.attributes) for event in block.events if event.type == "slash"]
    assert told == {"address": name, "power": "10", "reason": "double_sign", "jailed": name, "burned_coins": "50"}


def test_a_second_proof_against_the_same_host_changes_nothing(network: Network) -> None:
    caught(network)
    network.advance(6)
    before = network.state.changes()
    caught(network, height=4)
    assert network.state.changes() == before


def test_a_host_that_is_jailed_for_missing_blocks_is_still_tombstoned(network: Network) -> None:
    put_sentence(network.state, CAROL, Sentence(network.block.time))
    caught(network)
    assert sentence(network.state, CAROL) == Sentence(0, for_ever=True)


def test_w9_evidence_against_a_key_that_was_rotated_away_finds_its_owner(network: Network) -> None:
    network.register("carol", consensus="other")
    network.sprint({name: {0: 100} for name in HOSTS})
    assert participants.by_consensus_address(network.state, consensus_address(consensus_key("carol"))) == CAROL
    caught(network)
    network.advance(network.block.height + 1)
    assert set(network.powers()) == {"alice", "bob"}
    assert collateral(network.state, CAROL) == 950


def test_a_new_key_does_not_bring_a_double_signer_back(network: Network) -> None:
    caught(network)
    network.register("carol", consensus="other")
    network.sprint({name: {0: 100} for name in HOSTS})
    assert network.weights(1)["carol"] == 100
    assert network.powers() == {"alice": 100, "bob": 100}
    unjail = SLASHING[0]
    assert type_url(unjail.type) == "/cosmos.slashing.v1beta1.MsgUnjail"
    with pytest.raises(Rejection, match="for ever"):
        unjail.handle(network.block, unjail.type(validator_addr=operator(CAROL)))


def test_w9_duplicate_keys_cannot_be_used_to_have_another_host_slashed(network: Network) -> None:
    """A key belongs to one participant: nobody registers a victim's key, or signs twice in its name."""
    with pytest.raises(Rejection, match="validator_key belongs to"):
        network.register("dave", consensus="carol")
    caught(network, "dave")
    assert sentence(network.state, key("dave").address) is None


def test_evidence_counts_until_both_blocks_and_time_have_passed(network: Network) -> None:
    limits = ConsensusParams()
    limits.evidence.max_age_num_blocks = 2
    limits.evidence.max_age_duration.seconds = 1
    set_consensus_params(network.state, limits)
    now = network.block.time
    before = network.state.changes()
    caught(network, height=2, time=now - 10**9 - 1)
    assert network.state.changes() == before
    caught(network, height=2, time=now - 10**9)
    assert sentence(network.state, CAROL) is not None
    put_sentence(network.state, CAROL, None)
    caught(network, height=3, time=0)
    assert sentence(network.state, CAROL) is not None


def test_evidence_can_be_asked_for(network: Network) -> None:
    caught(network)
    listed = ask(network, "AllEvidence", query_pb2.QueryAllEvidenceRequest())
    assert listed.pagination.total == 1
    found = Equivocation()
    assert listed.evidence[0].Unpack(found)
    assert (found.height, found.power) == (3, 10)
    assert found.consensus_address == consensus_text(consensus_address(consensus_key("carol")))
    digest = sha256(found.SerializeToString(deterministic=True))
    for request in (
        query_pb2.QueryEvidenceRequest(hash=digest.hex().upper()),
        query_pb2.QueryEvidenceRequest(evidence_hash=digest),
    ):
        assert ask(network, "Evidence", request).evidence == listed.evidence[0]


@pytest.mark.parametrize(
    ("text", "code"),
    [("zz", SdkCode.INVALID_REQUEST), ("", SdkCode.INVALID_REQUEST), ("00" * 32, SdkCode.NOT_FOUND)],
)
def test_evidence_that_is_not_there_is_refused(network: Network, text: str, code: SdkCode) -> None:
    with pytest.raises(Rejection) as refused:
        ask(network, "Evidence", query_pb2.QueryEvidenceRequest(hash=text))
    assert refused.value.code == code


def test_an_export_loads_into_the_same_rows(network: Network) -> None:
    caught(network)
    put_evidence(network.state, Equivocation(height=9, consensus_address="x"))
    restored = plain_block()
    exported = genesis.export(network.state)
    assert exported["evidence"][0]["@type"] == "/cosmos.evidence.v1beta1.Equivocation"
    genesis.load(restored, exported)
    assert list(restored.state.iterate("evidence")) == list(network.state.iterate("evidence"))
    assert len(list(all_evidence(restored.state))) == 2


def test_evidence_of_another_kind_is_no_genesis() -> None:
    strange = {"evidence": [{"@type": "/cosmos.base.v1beta1.Coin", "denom": "x", "amount": "1"}]}
    with pytest.raises(ValueError, match="of a kind that nobody knows"):
        genesis.load(plain_block(), strange)
    with pytest.raises(json_format.ParseError):
        genesis.load(plain_block(), {"evidence": [{"@type": "/none"}]})


def test_the_engine_brings_evidence_with_a_block() -> None:
    chain = Chain({})
    chain.block()
    address = consensus_address(LONE_KEY)
    chain.application.finalize_block(
        abci.RequestFinalizeBlock(
            height=3,
            misbehavior=[
                abci.Misbehavior(
                    type=abci.DUPLICATE_VOTE, validator=abci.Validator(address=address, power=10), height=1
                )
            ],
        )
    )
    chain.application.commit(abci.RequestCommit())
    assert sentence(chain.state, key("host").address) == Sentence(0, for_ever=True)
    assert participants.require_participant(chain.state, key("host").address).status == ParticipantStatus.ACTIVE


def test_evidence_that_is_not_what_its_key_says_is_noticed() -> None:
    state = plain_block().state
    put_evidence(state, Equivocation(height=3, power=1, consensus_address=consensus_text(bytes(20))))
    check_evidence(state)
    ((key_of_it, row),) = state.iterate("evidence")
    state.set("evidence", b"\0" + bytes(32), row)
    with pytest.raises(AssertionError, match=f"the evidence {'00' * 33} is not what stands there"):
        check_evidence(state)
    state.delete("evidence", b"\0" + bytes(32))
    state.set("evidence", key_of_it, row.replace(b"Equivocation", b"equivocation"))
    with pytest.raises(AssertionError, match=f"the evidence {key_of_it.hex()}"):
        check_evidence(state)
