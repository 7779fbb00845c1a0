"""Whole epochs, by transactions alone: from the genesis over a sprint to a claim."""

import base64
import hashlib
import os
import subprocess
import sys
from pathlib import Path

import cosmpy.protos  # noqa: F401
import pytest
from cosmos.authz.v1beta1.authz_pb2 import GenericAuthorization, Grant
from cosmos.authz.v1beta1.tx_pb2 import MsgExec, MsgGrant
from google.protobuf.message import Message
from tendermint.abci import types_pb2 as abci

from pivot.chain.errors import SdkCode
from pivot.chain.modules.bank.state import COMMUNITY_POOL, REWARDS
from pivot.chain.modules.epochs.state import effective, effective_index, latest
from pivot.chain.modules.members.state import weights
from pivot.protocol.generated.inference.inference.genesis_pb2 import GenesisParticipant, GenesisState
from pivot.protocol.generated.inference.inference.query_pb2 import QueryGetCurrentEpochRequest
from pivot.protocol.generated.inference.inference.tx_pb2 import (
    MsgClaimRewards,
    MsgClaimRewardsResponse,
    MsgCommitPoc,
    MsgSubmitHardwareDiff,
    MsgSubmitPocVoteHash,
    MsgSubmitPocVotes,
)
from pivot.protocol.generated.inference.inference.types_pb2 import (
    HardwareNode,
    Model,
    Participant,
    ParticipantStatus,
    PocNodeCommit,
    PocVerdict,
    PocVote,
)
from pivot.protocol.hash_chain import tip
from pivot.protocol.messages import pack, type_url
from pivot.protocol.parameters import preset_params
from pivot.protocol.poc import vote_hash
from tests.chain.chain import CHAIN_ID, Chain, consensus_key, events_of, key

ROOT = Path(__file__).parent.parent.parent
HOSTS = ("alice", "bob")
SECRET = hashlib.sha256(b"secret").digest()
SALT = bytes(32)
MODEL = "pivot/tiny-chat"
REWARDS_SUPPLY = 10**18
COINS = 10**6


def genesis(price_e18: int = 0) -> GenesisState:
    params = preset_params("test")
    params.fee_params.minimum_gas_price_e18 = str(price_e18)
    return GenesisState(
        params=params,
        model_list=[Model(id=MODEL)],
        participants=[
            GenesisParticipant(
                participant=Participant(
                    address=key(name).address,
                    inference_url=f"http://{name}.example:9000",
                    status=ParticipantStatus.ACTIVE,
                    validator_key=base64.b64encode(consensus_key(name)).decode(),
                    account_public_key=key(name).public_key,
                ),
                weight=10,
            )
            for name in HOSTS
        ],
    )


def new_chain(price_e18: int = 0) -> Chain:
    balances = {key(name).address: COINS for name in (*HOSTS, "stranger")} | {REWARDS: REWARDS_SUPPLY}
    return Chain(balances, genesis(price_e18))


def must(chain: Chain, name: str, message: Message) -> bytes:
    """Deliver a duty; it must not be refused. Returns its response's bytes."""
    result = chain.deliver(key(name), message)
    assert result.code == 0, result.log
    return bytes(result.data)


def declare(name: str) -> MsgSubmitHardwareDiff:
    node = HardwareNode(local_id="node1", node_number=1, models=[MODEL])
    return MsgSubmitHardwareDiff(creator=key(name).address, newOrModified=[node])


def commit(chain: Chain, name: str, count: int) -> MsgCommitPoc:
    address, epoch = key(name).address, latest(chain.state).index
    return MsgCommitPoc(
        creator=address,
        epoch_index=epoch,
        nodes=[PocNodeCommit(node_number=1, node_id="node1", count=count, merkle_root=bytes(32))],
        hash_chain_tip=tip(CHAIN_ID, epoch, address, SECRET),
    )


def sprint(chain: Chain, counts: dict[str, int]) -> None:
    """A whole sprint, until the new members serve."""
    chain.advance(effective(chain.state).boundaries.next_poc_start + 20)
    for name, count in counts.items():
        must(chain, name, commit(chain, name, count))
    upcoming = latest(chain.state)
    chain.advance(upcoming.boundaries.poc_validation_start)
    votes = {
        name: [PocVote(participant=key(other).address, checked=20, verdict=PocVerdict.POC_VALID)]
        for name, other in (("alice", "bob"), ("bob", "alice"))
    }
    for name, cast in votes.items():
        hashed = vote_hash(CHAIN_ID, upcoming.index, key(name).address, cast, SALT)
        must(chain, name, MsgSubmitPocVoteHash(creator=key(name).address, epoch_index=upcoming.index, vote_hash=hashed))
    chain.advance(upcoming.boundaries.poc_validation_reveal)
    for name, cast in votes.items():
        message = MsgSubmitPocVotes(creator=key(name).address, epoch_index=upcoming.index, votes=cast, salt=SALT)
        must(chain, name, message)
    chain.advance(upcoming.boundaries.set_new_validators)


def test_the_genesis_members_are_the_engines_first_validators() -> None:
    chain = new_chain()
    powers = {update.pub_key.ed25519: update.power for update in chain.first.validators}
    assert powers == {consensus_key(name): 10 for name in HOSTS}


def test_two_epochs_from_the_genesis_to_a_claim() -> None:
    chain = new_chain()
    for name in HOSTS:
        must(chain, name, declare(name))
    sprint(chain, {"alice": 60, "bob": 30})
    assert effective_index(chain.state) == 1
    assert dict(weights(chain.state, 1)) == {key("alice").address: 60, key("bob").address: 30}
    powers = {update.pub_key.ed25519: update.power for update in chain.last.validator_updates}
    assert powers == {consensus_key("alice"): 60, consensus_key("bob"): 30}
    assert events_of(chain.last, "epoch_switched") == [{"epoch_index": "1"}]


def test_the_blocks_own_events_tell_when_they_have_happened() -> None:
    """As on every Cosmos chain since blocks are made in one step; explorers tell begin and end apart by it."""
    chain = new_chain()
    chain.advance(effective(chain.state).boundaries.next_poc_start)
    begun = next(event for event in chain.last.events if event.type == "poc_started")
    assert [(each.key, each.value, each.index) for each in begun.attributes][-1] == ("mode", "BeginBlock", True)
    for name in HOSTS:
        must(chain, name, declare(name))
    sprint(chain, {"alice": 60, "bob": 30})
    switched = next(event for event in chain.last.events if event.type == "epoch_switched")
    assert [(each.key, each.value) for each in switched.attributes] == [("epoch_index", "1"), ("mode", "EndBlock")]
    current = chain.query("inference.inference.Query/GetCurrentEpoch", QueryGetCurrentEpochRequest())
    assert current.epoch == 1

    sprint(chain, {"alice": 60, "bob": 60})
    assert effective_index(chain.state) == 2
    chain.block()
    reward = preset_params("test").reward_params.initial_epoch_reward
    data = must(chain, "alice", MsgClaimRewards(creator=key("alice").address, epoch_index=1))
    assert pack(MsgClaimRewardsResponse(amount=reward * 2 // 3, result="Rewards claimed successfully")).value in data
    assert chain.balance(key("alice").address) == COINS + reward * 2 // 3
    assert chain.balance(REWARDS) == REWARDS_SUPPLY - reward
    again = chain.deliver(key("alice"), MsgClaimRewards(creator=key("alice").address, epoch_index=1))
    assert again.codespace == "inference"


def test_what_nobody_claims_goes_to_the_community_pool() -> None:
    chain = new_chain()
    for name in HOSTS:
        must(chain, name, declare(name))
    for _ in range(3):
        sprint(chain, {"alice": 60, "bob": 30})
    chain.block()
    reward = preset_params("test").reward_params.initial_epoch_reward
    assert chain.balance(COMMUNITY_POOL) >= reward // 3 + reward * 2 // 3


SCENARIO = """
from tests.chain.test_block import new_chain, must, declare, sprint
chain = new_chain()
for name in ("alice", "bob"):
    must(chain, name, declare(name))
for _ in range(2):
    sprint(chain, {"alice": 60, "bob": 30})
print(chain.store.app_hash.hex())
"""


def test_every_process_comes_to_the_same_app_hash() -> None:
    """The order in which Python keeps sets and hashes text differs between processes; nothing may depend on it."""
    hashes = set()
    for seed in ("1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)}
        run = subprocess.run(
            [sys.executable, "-c", SCENARIO], env=environment, capture_output=True, text=True, check=True
        )
        hashes.add(run.stdout)
    assert len(hashes) == 1


@pytest.fixture
def priced_chain() -> Chain:
    """A chain on which a unit of gas costs 1 ngonka, before its first sprint."""
    return new_chain(price_e18=10**18)


def test_duties_of_members_are_free_of_fees(priced_chain: Chain) -> None:
    assert priced_chain.deliver(key("alice"), declare("alice")).code == 0
    assert priced_chain.balance(key("alice").address) == COINS


def test_the_same_message_of_another_account_is_not_free(priced_chain: Chain) -> None:
    assert priced_chain.deliver(key("stranger"), declare("stranger")).code == SdkCode.INSUFFICIENT_FEE


def test_a_members_grantee_is_free_only_with_members_duties(priced_chain: Chain) -> None:
    warm, host = key("warm"), key("alice").address
    granted = Grant(authorization=pack(GenericAuthorization(msg=type_url(MsgSubmitHardwareDiff))))
    grant = MsgGrant(granter=host, grantee=warm.address, grant=granted)
    assert priced_chain.deliver(key("alice"), grant).code == SdkCode.INSUFFICIENT_FEE
    assert priced_chain.deliver(key("alice"), grant, fee=10**5).code == 0
    duty = MsgExec(grantee=warm.address, msgs=[pack(declare("alice"))])
    result = priced_chain.deliver(warm, duty)
    assert result.code == 0, result.log
    mixed = MsgExec(grantee=warm.address, msgs=[pack(declare("alice")), pack(grant)])
    assert priced_chain.deliver(warm, mixed).code == SdkCode.INSUFFICIENT_FEE
    of_stranger = MsgExec(grantee=warm.address, msgs=[pack(declare("stranger"))])
    assert priced_chain.deliver(warm, of_stranger).code == SdkCode.INSUFFICIENT_FEE


def test_the_grantee_of_nobody_is_not_let_in_for_free(priced_chain: Chain) -> None:
    """Whoever has no grant cannot fill blocks with others' duties."""
    duty = MsgExec(grantee=key("stranger").address, msgs=[pack(declare("alice"))])
    result = priced_chain.deliver(key("stranger"), duty)
    assert result.code == SdkCode.INSUFFICIENT_FEE
    assert priced_chain.account(key("stranger").address).sequence == 0


def test_only_members_urgent_duties_go_first_in_a_proposal() -> None:
    """Whoever is no member cannot push itself before the commits and claims of those who are."""
    chain = new_chain()
    crowd = [chain.sign(key("stranger"), MsgClaimRewards(creator=key("stranger").address), ahead=i) for i in range(3)]
    duty = chain.sign(key("alice"), MsgClaimRewards(creator=key("alice").address))
    request = abci.RequestPrepareProposal(txs=[*crowd, duty], max_tx_bytes=2**20)
    assert list(chain.application.prepare_proposal(request).txs) == [duty, *crowd]
