"""A nonce's way through the whole application: signed transactions from a commit to weight, power and a proven list."""

import base64

from cosmos.authz.v1beta1.authz_pb2 import GenericAuthorization, Grant
from cosmos.authz.v1beta1.tx_pb2 import MsgExec, MsgGrant
from google.protobuf.message import Message

from pivot.primitives.addresses import consensus_address
from pivot.primitives.hashes import sha256
from pivot.protocol.generated.inference.inference import query_pb2
from pivot.protocol.generated.inference.inference.genesis_pb2 import GenesisParticipant, GenesisState
from pivot.protocol.generated.inference.inference.tx_pb2 import (
    MsgCommitPoc,
    MsgRevealElement,
    MsgSubmitHardwareDiff,
    MsgSubmitNewUnfundedParticipant,
    MsgSubmitPocVoteHash,
    MsgSubmitPocVotes,
)
from pivot.protocol.generated.inference.inference.types_pb2 import (
    EpochBoundaries,
    Model,
    Participant,
    ParticipantStatus,
    PocNodeCommit,
    PocVote,
)
from pivot.protocol.hash_chain import element, tip
from pivot.protocol.messages import pack
from pivot.protocol.poc import vote_hash
from tests.chain.chain import CHAIN_ID, Chain, consensus_key, key
from tests.chain.modules.network import MODELS, SALT, encoded, fast_params, node, registration, secret, vote

HOST, NEWCOMER, WARM = key("host"), key("newcomer"), key("warm")
COINS = 10**12


def lone_chain() -> Chain:
    """One host with weight in the genesis, which signs every block."""
    participant = Participant(
        address=HOST.address,
        inference_url="http://host.example",
        validator_key=encoded(consensus_key("host")),
        status=ParticipantStatus.ACTIVE,
    )
    return Chain(
        {HOST.address: COINS, WARM.address: COINS},
        GenesisState(
            params=fast_params(),
            model_list=[Model(id=name) for name in MODELS],
            participants=[GenesisParticipant(participant=participant, weight=10)],
        ),
        votes={consensus_address(consensus_key("host")): 10},
    )


def ask(chain: Chain, method: str, request: Message) -> Message:
    return chain.query(f"inference.inference.Query/{method}", request)


def marks(chain: Chain) -> EpochBoundaries:
    """Boundaries of the latest epoch."""
    return ask(chain, "EpochInfo", query_pb2.QueryEpochInfoRequest()).latest_epoch.boundaries


def commit(name: str, epoch: int, count: int) -> MsgCommitPoc:
    address = key(name).address
    return MsgCommitPoc(
        creator=address,
        epoch_index=epoch,
        nodes=[PocNodeCommit(node_number=0, node_id="node0", count=count, merkle_root=sha256(b"leaves"))],
        hash_chain_tip=tip(CHAIN_ID, epoch, address, secret(name)),
    )


def deliver(chain: Chain, name: str, message: Message) -> None:
    """As API nodes send: unordered, and it must be taken."""
    (result,) = chain.block(chain.sign_unordered(key(name), message))
    assert result.code == 0, result.log


def sprint(chain: Chain, epoch: int, counts: dict[str, int], votes: list[PocVote]) -> None:
    """A sprint in which the lone host checks everybody, to the switch."""
    chain.advance(marks(chain).next_poc_start if epoch > 1 else fast_params().epoch_params.epoch_shift)
    for name, count in counts.items():
        deliver(chain, name, commit(name, epoch, count))
    chain.advance(marks(chain).poc_validation_start)
    hashed = vote_hash(CHAIN_ID, epoch, HOST.address, votes, SALT)
    deliver(chain, "host", MsgSubmitPocVoteHash(creator=HOST.address, epoch_index=epoch, vote_hash=hashed))
    chain.advance(marks(chain).poc_validation_reveal)
    deliver(chain, "host", MsgSubmitPocVotes(creator=HOST.address, epoch_index=epoch, votes=votes, salt=SALT))
    chain.advance(marks(chain).set_new_validators)


def test_a_lone_host_earns_weight_and_a_second_one_joins() -> None:
    chain = lone_chain()
    assert [(update.pub_key.ed25519, update.power) for update in chain.first.validators] == [
        (consensus_key("host"), 10)
    ]
    deliver(chain, "host", MsgSubmitHardwareDiff(creator=HOST.address, newOrModified=[node(0)]))
    sprint(chain, 1, {"host": 100}, [vote("host")])
    assert [(update.pub_key.ed25519, update.power) for update in chain.last.validator_updates] == [
        (consensus_key("host"), 100)
    ]

    own = registration("newcomer")
    deliver(
        chain,
        "host",
        MsgSubmitNewUnfundedParticipant(
            creator=HOST.address,
            address=NEWCOMER.address,
            url=own.url,
            pub_key=base64.b64encode(NEWCOMER.public_key).decode(),
            validator_key=own.validator_key,
            registration_signature=own.registration_signature,
        ),
    )
    deliver(chain, "newcomer", MsgSubmitHardwareDiff(creator=NEWCOMER.address, newOrModified=[node(0)]))
    sprint(chain, 2, {"host": 100, "newcomer": 300}, [vote("newcomer")])
    group = ask(chain, "CurrentEpochGroupData", query_pb2.QueryCurrentEpochGroupDataRequest()).epoch_group_data
    # The host, the only member, has not voted on itself this time: without a quorum it keeps its weight.
    assert {row.member_address: row.weight for row in group.validation_weights} == {
        HOST.address: 100,
        NEWCOMER.address: 300,
    }
    assert [(update.pub_key.ed25519, update.power) for update in chain.last.validator_updates] == [
        (consensus_key("newcomer"), 25)
    ]


def test_the_published_list_stands_in_the_next_header_and_has_a_proof() -> None:
    chain = lone_chain()
    deliver(chain, "host", MsgSubmitHardwareDiff(creator=HOST.address, newOrModified=[node(0)]))
    sprint(chain, 1, {"host": 100}, [vote("host")])
    request = query_pb2.QueryActiveParticipantsRequest(epoch_index=1)
    listed = ask(chain, "ActiveParticipants", request).active_participants
    value, proof = chain.store.prove("inference", b"ActiveParticipants/value/" + (1).to_bytes(8, "big") + b"/")
    assert value == listed.SerializeToString(deterministic=True)
    assert [op.type for op in proof.ops] == ["ics23:iavl", "ics23:simple"]


def test_a_warm_key_commits_and_reveals_for_its_host() -> None:
    chain = lone_chain()
    deliver(chain, "host", MsgSubmitHardwareDiff(creator=HOST.address, newOrModified=[node(0)]))
    for kind in ("MsgCommitPoc", "MsgRevealElement"):
        allowed = GenericAuthorization(msg=f"/inference.inference.{kind}")
        grant = MsgGrant(granter=HOST.address, grantee=WARM.address, grant=Grant(authorization=pack(allowed)))
        deliver(chain, "host", grant)
    chain.advance(marks(chain).next_poc_start)
    message = MsgExec(grantee=WARM.address, msgs=[pack(commit("host", 1, 100))])
    deliver(chain, "warm", message)
    chain.advance(marks(chain).set_new_validators + 6)
    revealed = MsgRevealElement(
        creator=HOST.address,
        epoch_index=1,
        segment=0,
        element=element(CHAIN_ID, 1, HOST.address, secret("host"), 0),
    )
    deliver(chain, "warm", MsgExec(grantee=WARM.address, msgs=[pack(revealed)]))
    request = query_pb2.QueryHashChainRequest(epoch_index=1, participant=HOST.address)
    assert ask(chain, "HashChain", request).hash_chain.revealed == 1


def test_two_machines_that_make_the_same_blocks_agree_through_epochs() -> None:
    hashes = []
    for _ in range(2):
        chain = lone_chain()
        deliver(chain, "host", MsgSubmitHardwareDiff(creator=HOST.address, newOrModified=[node(0)]))
        sprint(chain, 1, {"host": 100}, [vote("host")])
        sprint(chain, 2, {"host": 90}, [vote("host")])
        hashes.append((chain.height, chain.store.app_hash))
    assert hashes[0] == hashes[1]
