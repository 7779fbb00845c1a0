"""Attacks on addresses, consensus keys and permissions, by signed transactions through the whole application."""

import base64

import cosmpy.protos  # noqa: F401  (puts the folder of the standard types on the path)
import pytest
from cosmos.authz.v1beta1.authz_pb2 import GenericAuthorization, Grant
from cosmos.authz.v1beta1.query_pb2 import QueryGranterGrantsRequest
from cosmos.authz.v1beta1.tx_pb2 import MsgExec, MsgGrant
from cosmos.bank.v1beta1.tx_pb2 import MsgSend
from cosmos.base.query.v1beta1.pagination_pb2 import PageRequest
from cosmos.base.v1beta1.coin_pb2 import Coin
from cosmos.slashing.v1beta1.tx_pb2 import MsgUnjail
from google.protobuf.message import Message

from pivot.chain.errors import AuthzCode, NetworkCode, SdkCode
from pivot.chain.modules.epochs.state import effective
from pivot.chain.modules.participants.state import by_consensus_address, participant, signing_keys
from pivot.primitives.addresses import consensus_address, operator
from pivot.primitives.coins import BASE_DENOM
from pivot.primitives.keys import PrivateKey
from pivot.protocol.generated.inference.collateral.tx_pb2 import MsgDepositCollateral
from pivot.protocol.generated.inference.inference.tx_pb2 import (
    MsgClaimRewards,
    MsgCommitPoc,
    MsgRecordInferences,
    MsgRevealElement,
    MsgSetGateway,
    MsgStartInference,
    MsgSubmitNewUnfundedParticipant,
    MsgSubmitValidations,
    MsgVoteDisputes,
)
from pivot.protocol.generated.inference.inference.types_pb2 import DisputeVote, ValidationReport
from pivot.protocol.generated.inference.restrictions.tx_pb2 import MsgExecuteEmergencyTransfer
from pivot.protocol.messages import pack, type_url
from pivot.protocol.signing import gateway_sign_bytes
from tests.chain.chain import CHAIN_ID, Chain, consensus_key, key
from tests.chain.modules.network import encoded, registration
from tests.chain.test_block import COINS, HOSTS, commit, declare, must, new_chain, sprint

MALLORY, VICTIM, ALICE = key("stranger"), key("victim"), key("alice")


def forwarded(name: str, *, by: PrivateKey = MALLORY, **changes: str) -> MsgSubmitNewUnfundedParticipant:
    """A host's own registration, as somebody else sends it."""
    own = registration(name)
    return MsgSubmitNewUnfundedParticipant(
        **{
            "creator": by.address,
            "address": own.creator,
            "url": own.url,
            "pub_key": base64.b64encode(key(name).public_key).decode(),
            "validator_key": own.validator_key,
            "registration_signature": own.registration_signature,
            **changes,
        }
    )


def test_d1_an_address_cannot_be_made_with_another_key() -> None:
    """Whoever makes a victim's unused address with a key of his own would own all that is ever sent to it (W-2)."""
    chain = new_chain()
    own = base64.b64encode(MALLORY.public_key).decode()
    consumer = {"url": "", "validator_key": "", "registration_signature": ""}
    assert chain.deliver(MALLORY, forwarded("victim", pub_key=own, **consumer)).code == SdkCode.INVALID_PUBLIC_KEY
    assert chain.account(VICTIM.address) is None
    coins = [Coin(denom=BASE_DENOM, amount="1000")]
    gift = MsgSend(from_address=MALLORY.address, to_address=VICTIM.address, amount=coins)
    assert chain.deliver(MALLORY, gift).code == 0
    theft = MsgSend(from_address=VICTIM.address, to_address=MALLORY.address, amount=coins)
    account = chain.account(VICTIM.address)
    assert account is not None
    stolen = chain.sign(MALLORY, theft, account_number=account.number, sequence=0)
    assert chain.block(stolen)[0].code == SdkCode.INVALID_PUBLIC_KEY
    assert chain.deliver(VICTIM, theft).code == 0


@pytest.mark.parametrize(
    "changes",
    [
        {"url": "http://mallory.example:9000"},
        {"validator_key": encoded(consensus_key("mallory"))},
        {"registration_signature": registration("mallory").registration_signature},
    ],
)
def test_d1_whoever_forwards_a_registration_cannot_change_it(changes: dict[str, str]) -> None:
    chain = new_chain()
    assert chain.deliver(MALLORY, forwarded("victim", **changes)).code == NetworkCode.INVALID_SIGNATURE
    assert participant(chain.state, VICTIM.address) is None
    assert chain.deliver(MALLORY, forwarded("victim")).code == 0
    found = participant(chain.state, VICTIM.address)
    assert found is not None
    assert (found.inference_url, found.account_public_key) == (registration("victim").url, VICTIM.public_key)


@pytest.mark.parametrize("name", ["alice", "bob"])
def test_a21_nobody_overwrites_a_hosts_url_or_key(name: str) -> None:
    """An API node re-registered itself with whatever a stranger had posted, and lost its history (W-7)."""
    chain = new_chain()
    own = registration(name, url="http://mallory.example:9000", consensus="mallory")
    kept = participant(chain.state, own.creator)
    foreign = forwarded(name, url=own.url, validator_key=own.validator_key)
    assert chain.deliver(MALLORY, foreign).code == NetworkCode.ACCOUNT_EXISTS
    once_signed = forwarded(
        name,
        url=own.url,
        validator_key=own.validator_key,
        registration_signature=own.registration_signature,
    )
    assert chain.deliver(MALLORY, once_signed).code == NetworkCode.ACCOUNT_EXISTS
    assert participant(chain.state, own.creator) == kept


def test_d2_a_consensus_key_is_its_hosts_from_the_moment_it_is_asked_for() -> None:
    """A second owner would break the engine's updates for everybody, and have the first one slashed for its votes (W-9)."""
    chain = new_chain()
    taken = chain.deliver(MALLORY, registration("stranger", consensus="alice"))
    assert (taken.code, ALICE.address in taken.log) == (NetworkCode.CONSENSUS_KEY_TAKEN, True)
    must(chain, "alice", registration("alice", consensus="new"))
    assert chain.deliver(MALLORY, registration("stranger", consensus="new")).code == NetworkCode.CONSENSUS_KEY_TAKEN


def test_d2_a_rotation_is_one_update_at_the_switch_and_evidence_finds_the_old_key() -> None:
    chain = new_chain()
    for name in HOSTS:
        must(chain, name, declare(name))
    must(chain, "alice", registration("alice", consensus="new"))
    told: list[bytes] = []
    while chain.height < effective(chain.state).boundaries.next_poc_start:
        chain.block()
        told += [update.pub_key.ed25519 for update in chain.last.validator_updates]
    assert told == []
    sprint(chain, {"alice": 60, "bob": 60})
    powers = {update.pub_key.ed25519: update.power for update in chain.last.validator_updates}
    assert powers[consensus_key("alice")] == 0
    assert powers[consensus_key("new")] > 0
    for name in ("alice", "new"):
        assert by_consensus_address(chain.state, consensus_address(consensus_key(name))) == ALICE.address
    assert chain.deliver(MALLORY, registration("stranger", consensus="alice")).code == NetworkCode.CONSENSUS_KEY_TAKEN


def of_alice(chain: Chain) -> list[Message]:
    """Messages of the network's own that only a host may send, each well-formed."""
    host = ALICE.address
    gateway = key("gateway")
    return [
        declare("alice"),
        registration("alice"),
        commit(chain, "alice", 60),
        MsgSetGateway(
            creator=host,
            gateway_public_key=gateway.public_key,
            gateway_signature=gateway.sign_base64(gateway_sign_bytes(CHAIN_ID, host)),
        ),
        MsgClaimRewards(creator=host, epoch_index=1),
        MsgRevealElement(creator=host, epoch_index=1, element=bytes(32)),
        MsgSubmitValidations(creator=host, epoch_index=1, reports=[ValidationReport(inference_id="A" * 88, verdict=1)]),
        MsgVoteDisputes(creator=host, votes=[DisputeVote(inference_id="A" * 88)]),
        MsgRecordInferences(creator=host, starts=[MsgStartInference(creator=host)]),
        MsgDepositCollateral(participant=host, amount=Coin(denom=BASE_DENOM, amount="5")),
        MsgExecuteEmergencyTransfer(
            exemption_id="x", from_address=host, to_address=MALLORY.address, amount="1", denom=BASE_DENOM
        ),
        MsgUnjail(validator_addr=operator(host)),
    ]


def test_d20_nobody_sends_a_hosts_message_without_its_permission() -> None:
    chain = new_chain()
    chain.advance(effective(chain.state).boundaries.next_poc_start)
    permitted = Grant(authorization=pack(GenericAuthorization(msg=type_url(MsgSend))))
    must(chain, "alice", MsgGrant(granter=ALICE.address, grantee=MALLORY.address, grant=permitted))
    before = chain.balance(ALICE.address)
    for message in of_alice(chain):
        refused = chain.deliver(MALLORY, MsgExec(grantee=MALLORY.address, msgs=[pack(message)]))
        assert (refused.codespace, refused.code) == ("authz", AuthzCode.NO_AUTHORIZATION), type_url(message)
        place = chain.account(ALICE.address)
        assert place is not None
        forged = chain.sign(MALLORY, message, account_number=place.number, sequence=place.sequence)
        straight = chain.block(forged)[0]
        assert (straight.codespace, straight.code) == ("sdk", SdkCode.INVALID_PUBLIC_KEY), type_url(message)
    assert chain.balance(ALICE.address) == before == COINS


def test_d20_a_permission_is_for_one_type_of_the_networks_messages() -> None:
    chain = new_chain()
    chain.advance(effective(chain.state).boundaries.next_poc_start)
    permitted = Grant(authorization=pack(GenericAuthorization(msg=type_url(MsgCommitPoc))))
    must(chain, "alice", declare("alice"))
    must(chain, "alice", MsgGrant(granter=ALICE.address, grantee=MALLORY.address, grant=permitted))
    chain.advance(chain.height + 20)
    for message in of_alice(chain):
        result = chain.deliver(MALLORY, MsgExec(grantee=MALLORY.address, msgs=[pack(message)]))
        allowed = isinstance(message, MsgCommitPoc)
        assert (result.code == 0) is allowed, f"{type_url(message)}: {result.log}"


def test_w26_all_permissions_of_a_host_are_found_beyond_a_page_of_a_hundred() -> None:
    """Twenty-five permissions for each warm key fill a page of a hundred with the fourth; later keys were not heard."""
    chain = new_chain()
    allowed = Grant(authorization=pack(GenericAuthorization(msg=type_url(MsgStartInference))))
    other = Grant(authorization=pack(GenericAuthorization(msg=type_url(MsgSend))))
    crowd = [key(f"warm {number}") for number in range(130)]
    coin = [Coin(denom=BASE_DENOM, amount="1")]
    must(chain, "stranger", MsgSend(from_address=MALLORY.address, to_address=ALICE.address, amount=coin))
    grants = [MsgGrant(granter=ALICE.address, grantee=each.address, grant=other) for each in crowd]
    must(chain, "alice", MsgGrant(granter=ALICE.address, grantee=MALLORY.address, grant=allowed))
    for start in range(0, len(grants), 50):
        assert chain.block(chain.sign(ALICE, *grants[start : start + 50]))[0].code == 0
    keys = signing_keys(chain.state, ALICE.address, type_url(MsgStartInference), chain.time)
    assert keys == [ALICE.public_key, MALLORY.public_key]
    request = QueryGranterGrantsRequest(granter=ALICE.address, pagination=PageRequest(limit=1000))
    assert len(chain.query("cosmos.authz.v1beta1.Query/GranterGrants", request).grants) == len(grants) + 1
