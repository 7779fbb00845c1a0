"""Permissions: who may act for whom, until when, and what MsgExec carries."""

from typing import Any

import cosmpy.protos  # noqa: F401
import pytest
from cosmos.authz.v1beta1 import query_pb2 as q
from cosmos.authz.v1beta1.authz_pb2 import GenericAuthorization, Grant
from cosmos.authz.v1beta1.tx_pb2 import MsgExec, MsgGrant, MsgRevoke
from cosmos.bank.v1beta1.authz_pb2 import SendAuthorization
from cosmos.bank.v1beta1.bank_pb2 import Input, Output
from cosmos.bank.v1beta1.tx_pb2 import MsgMultiSend, MsgSend
from cosmos.base.query.v1beta1.pagination_pb2 import PageRequest
from cosmos.base.v1beta1.coin_pb2 import Coin
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from pivot.chain.errors import AuthzCode, AuthzError, BankCode, SdkCode
from pivot.chain.handlers import MessageHandler
from pivot.chain.modules.authz import genesis
from pivot.chain.modules.authz import messages as authz_messages
from pivot.chain.modules.authz import state as authz
from pivot.chain.modules.authz.invariants import check_permissions
from pivot.chain.modules.authz.queries import QUERIES
from pivot.chain.modules.authz.state import (
    STORE,
    Permission,
    forget_expired,
    grant,
    grantees,
    may_act,
    permission,
    revoke,
)
from pivot.chain.types import View
from pivot.protocol.generated.inference.inference.tx_pb2 import MsgClaimRewards, MsgRevealElement
from pivot.protocol.messages import pack
from pivot.protocol.transactions import NANOSECONDS, timestamp
from tests.chain.chain import Chain, events_of, key, plain_block

ALICE, BOB, CAROL = key("alice"), key("bob"), key("carol")
SEND = "/cosmos.bank.v1beta1.MsgSend"
SERVICE = "cosmos.authz.v1beta1.Query"
COIN = Coin(denom="ngonka", amount="1")


def msg_grant(*, message_type: str = SEND, until: int | None = None, **changes: Any) -> MsgGrant:
    """Alice permits sends to Bob, until `until` (Unix nanoseconds)."""
    granted = Grant(authorization=pack(GenericAuthorization(msg=message_type)))
    if until is not None:
        granted.expiration.CopyFrom(timestamp(until))
    return MsgGrant(**{"granter": ALICE.address, "grantee": BOB.address, "grant": granted, **changes})


def limited(amount: int, *receivers: str, denom: str = "ngonka", until: int = 0) -> Grant:
    """Sends of so many coins in all, to these or to anybody."""
    limit = SendAuthorization(spend_limit=[Coin(denom=denom, amount=str(amount))], allow_list=receivers)
    return Grant(authorization=pack(limit), expiration=timestamp(until) if until else None)


def msg_exec(*messages: Message, grantee: str = BOB.address) -> MsgExec:
    return MsgExec(grantee=grantee, msgs=[pack(message) for message in messages])


def send(source: str = ALICE.address, target: str = CAROL.address) -> MsgSend:
    return MsgSend(from_address=source, to_address=target, amount=[COIN])


@pytest.fixture
def chain() -> Chain:
    return Chain({ALICE.address: 10, BOB.address: 10})


def test_a_grantee_acts_for_the_granter(chain: Chain) -> None:
    assert chain.deliver(ALICE, msg_grant()).code == 0
    result = chain.deliver(BOB, msg_exec(send(), send()))
    assert result.code == 0, result.log
    assert (chain.balance(ALICE.address), chain.balance(CAROL.address)) == (8, 2)
    assert [event["authz_msg_index"] for event in events_of(result, "transfer")] == ["0", "1"]
    assert events_of(result, "message") == [
        {"action": "/cosmos.authz.v1beta1.MsgExec", "sender": BOB.address, "module": "authz", "msg_index": "0"},
        {"sender": ALICE.address, "authz_msg_index": "0", "msg_index": "0"},
        {"sender": ALICE.address, "authz_msg_index": "1", "msg_index": "0"},
    ]


def test_without_permission_nobody_acts_for_another(chain: Chain) -> None:
    result = chain.deliver(BOB, msg_exec(send()))
    assert result.code == AuthzCode.NO_AUTHORIZATION
    assert "has not permitted /cosmos.bank.v1beta1.MsgSend" in result.log
    assert chain.balance(ALICE.address) == 10


def test_a_permission_is_for_one_type_one_granter_and_one_grantee(chain: Chain) -> None:
    chain.deliver(ALICE, msg_grant())
    other = MsgMultiSend(
        inputs=[Input(address=ALICE.address, coins=[COIN])], outputs=[Output(address=BOB.address, coins=[COIN])]
    )
    assert chain.deliver(BOB, msg_exec(other)).code == AuthzCode.NO_AUTHORIZATION
    assert chain.deliver(ALICE, msg_exec(send(BOB.address), grantee=ALICE.address)).code == AuthzCode.NO_AUTHORIZATION


def test_everybody_acts_for_himself(chain: Chain) -> None:
    assert chain.deliver(BOB, msg_exec(send(BOB.address))).code == 0


def test_one_refused_message_undoes_all(chain: Chain) -> None:
    chain.deliver(ALICE, msg_grant())
    too_much = send()
    too_much.amount[0].amount = "11"
    assert chain.deliver(BOB, msg_exec(send(), too_much)).code == SdkCode.INSUFFICIENT_FUNDS
    assert chain.balance(ALICE.address) == 10


def test_sends_may_be_permitted_up_to_a_sum(chain: Chain) -> None:
    chain.deliver(ALICE, msg_grant(grant=limited(3, until=chain.time + 100 * NANOSECONDS)))
    assert chain.deliver(BOB, msg_exec(send(), send())).code == 0
    found = permission(chain.state, ALICE.address, BOB.address, SEND)
    assert found is not None
    assert (found.spend_limit, found.expiration_ns > 0) == (1, True)
    beyond = chain.deliver(BOB, msg_exec(send(), send()))
    assert (beyond.codespace, beyond.code) == ("authz", AuthzCode.NO_AUTHORIZATION)
    assert chain.deliver(BOB, msg_exec(send())).code == 0
    assert list(chain.state.iterate(STORE)) == []
    assert chain.balance(CAROL.address) == 3


def test_a_send_above_what_is_left_is_refused(chain: Chain) -> None:
    chain.deliver(ALICE, msg_grant(grant=limited(3)))
    large = send()
    large.amount[0].amount = "4"
    result = chain.deliver(BOB, msg_exec(large))
    assert (result.code, "more than spend limit" in result.log) == (SdkCode.INSUFFICIENT_FUNDS, True)


def test_sends_may_be_permitted_to_some_receivers_only(chain: Chain) -> None:
    chain.deliver(ALICE, msg_grant(grant=limited(3, CAROL.address)))
    assert chain.deliver(BOB, msg_exec(send())).code == 0
    result = chain.deliver(BOB, msg_exec(send(target=BOB.address)))
    assert (result.code, f"cannot send to {BOB.address}" in result.log) == (SdkCode.UNAUTHORIZED, True)


def test_an_export_gives_the_same_rows() -> None:
    state = plain_block().state
    grant(state, Permission(ALICE.address, BOB.address, SEND, 10, 7, (CAROL.address,)))
    grant(state, Permission(ALICE.address, CAROL.address, SEND, 0, 7))
    grant(state, Permission(BOB.address, CAROL.address, "/other", 5 * NANOSECONDS + 1))
    other = plain_block()
    genesis.load(other, genesis.export(state))
    assert list(other.state.iterate(STORE)) == list(state.iterate(STORE))


def test_a_permission_ends_at_its_expiration(chain: Chain) -> None:
    until = chain.time + 2 * NANOSECONDS
    chain.deliver(ALICE, msg_grant(until=until))
    assert chain.deliver(BOB, msg_exec(send())).code == 0
    chain.time = until
    assert chain.deliver(BOB, msg_exec(send())).code == AuthzCode.NO_AUTHORIZATION
    assert list(chain.state.iterate(STORE)) == []


def test_an_expiration_in_the_past_is_refused(chain: Chain) -> None:
    result = chain.deliver(ALICE, msg_grant(until=chain.time))
    assert result.code == AuthzCode.INVALID_EXPIRATION
    assert "expiration" in result.log


def test_a_revoked_permission_is_gone(chain: Chain) -> None:
    chain.deliver(ALICE, msg_grant(until=chain.time + 100 * NANOSECONDS))
    revocation = MsgRevoke(granter=ALICE.address, grantee=BOB.address, msg_type_url=SEND)
    assert chain.deliver(ALICE, revocation).code == 0
    assert chain.deliver(BOB, msg_exec(send())).code == AuthzCode.NO_AUTHORIZATION
    assert chain.deliver(ALICE, revocation).code == AuthzCode.NO_AUTHORIZATION
    assert list(chain.state.iterate(STORE)) == []


def test_a_grant_makes_the_grantees_account(chain: Chain) -> None:
    chain.deliver(ALICE, msg_grant(grantee=CAROL.address))
    assert chain.account(CAROL.address) is not None


def test_a_permission_may_be_passed_on_by_exec(chain: Chain) -> None:
    chain.deliver(ALICE, msg_grant(message_type="/cosmos.authz.v1beta1.MsgGrant"))
    result = chain.deliver(BOB, msg_exec(msg_grant(grantee=CAROL.address)))
    assert result.code == 0, result.log
    assert may_act(chain.state, ALICE.address, CAROL.address, SEND, chain.time)


def test_a_new_grant_replaces_the_old_one() -> None:
    state = plain_block().state
    grant(state, Permission(ALICE.address, BOB.address, SEND, 10))
    grant(state, Permission(ALICE.address, BOB.address, SEND, 30))
    forget_expired(state, 20)
    assert may_act(state, ALICE.address, BOB.address, SEND, 20)
    grant(state, Permission(ALICE.address, BOB.address, SEND))
    forget_expired(state, 50)
    assert may_act(state, ALICE.address, BOB.address, SEND, 50)
    assert revoke(state, ALICE.address, BOB.address, SEND)
    assert list(state.iterate(STORE)) == []


def test_all_grantees_of_a_type_are_found_without_a_page_limit() -> None:
    state = plain_block().state
    others = sorted(key(f"{i}").address for i in range(150))
    for other in others:
        grant(state, Permission(ALICE.address, other, SEND, 10 if other == others[0] else 0))
        grant(state, Permission(ALICE.address, other, "/other"))
    assert sorted(grantees(state, ALICE.address, SEND, 20)) == others[1:]


def test_permissions_for_other_messages_cost_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who may sign for a host is asked with every batch: a host that grants a thousand other things slows nobody down."""
    state = plain_block().state
    grant(state, Permission(ALICE.address, BOB.address, SEND))
    for number in range(50):
        grant(state, Permission(ALICE.address, CAROL.address, f"/other{number:02}"))
        grant(state, Permission(ALICE.address, CAROL.address, f"{SEND}{number:02}"))
    read: list[bytes] = []
    permission_of = authz.permission_of

    def counted(key: bytes, row: bytes) -> Permission:
        read.append(key)
        return permission_of(key, row)

    monkeypatch.setattr(authz, "permission_of", counted)
    assert list(grantees(state, ALICE.address, SEND, 0)) == [BOB.address]
    assert len(read) == 1


def test_one_block_deletes_some_expired_permissions_and_the_next_one_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(authz, "FORGOTTEN_PER_BLOCK", 1)
    state = plain_block().state
    for grantee in (BOB, CAROL):
        grant(state, Permission(ALICE.address, grantee.address, SEND, 10))
    forget_expired(state, 20)
    assert not any(may_act(state, ALICE.address, grantee.address, SEND, 20) for grantee in (BOB, CAROL))
    assert list(state.iterate(STORE)) != []
    forget_expired(state, 20)
    assert list(state.iterate(STORE)) == []


@pytest.mark.parametrize(
    "message",
    [
        msg_grant(grantee=ALICE.address),
        msg_grant(grantee="gonka1x"),
        msg_grant(grant=Grant(authorization=pack(SendAuthorization()))),
        msg_grant(grant=Grant()),
        msg_grant(message_type=""),
        msg_grant(message_type="MsgSend"),
        msg_grant(message_type="/" + "x" * 128),
        msg_grant(grant=Grant(authorization=pack(GenericAuthorization(msg=SEND)), expiration=Timestamp(seconds=2**40))),
        msg_grant(grant=limited(0)),
        msg_grant(grant=limited(1, denom="uatom")),
        msg_grant(grant=limited(1, BOB.address, BOB.address)),
        msg_grant(grant=limited(1, *[BOB.address] * 65)),
        msg_grant(grant=limited(1, "gonka1x")),
        MsgRevoke(granter=ALICE.address, grantee=BOB.address),
        MsgRevoke(granter=ALICE.address, grantee=ALICE.address, msg_type_url=SEND),
    ],
)
def test_what_is_wrong_is_refused(chain: Chain, message: Message) -> None:
    result = chain.deliver(ALICE, message)
    if result.codespace == "authz":
        assert result.code in {AuthzCode.GRANTEE_IS_GRANTER, AuthzCode.UNKNOWN_AUTHORIZATION}
    else:
        assert result.code in {SdkCode.INVALID_REQUEST, SdkCode.INVALID_ADDRESS, SdkCode.INVALID_COINS}


def test_a_granter_that_is_no_address_is_refused(chain: Chain) -> None:
    result = chain.deliver(BOB, msg_exec(MsgRevoke(granter=BOB.address, grantee="gonka1x", msg_type_url=SEND)))
    assert result.code == SdkCode.INVALID_ADDRESS
    claim = MsgClaimRewards(creator="gonka1nobody", epoch_index=1)
    reveal = MsgRevealElement(creator="", epoch_index=1, element=bytes(32))
    assert chain.deliver(BOB, msg_exec(claim)).code == SdkCode.INVALID_ADDRESS
    assert chain.deliver(BOB, msg_exec(reveal)).code == SdkCode.INVALID_ADDRESS


def test_a_message_without_a_signer_cannot_be_carried(chain: Chain) -> None:
    nobody = MsgMultiSend(outputs=[Output(address=BOB.address, coins=[COIN])])
    result = chain.deliver(BOB, msg_exec(nobody))
    assert (result.codespace, result.code) == ("bank", BankCode.NO_INPUTS)


def test_grants_are_told_by_pair_granter_and_grantee(chain: Chain) -> None:
    for grantee in (BOB.address, CAROL.address):
        chain.deliver(ALICE, msg_grant(grantee=grantee))
        chain.deliver(ALICE, msg_grant(grantee=grantee, message_type="/other", until=chain.time + 10 * NANOSECONDS))
    pair = q.QueryGrantsRequest(granter=ALICE.address, grantee=BOB.address)
    assert len(chain.query(f"{SERVICE}/Grants", pair).grants) == 2
    one = q.QueryGrantsRequest(granter=ALICE.address, grantee=BOB.address, msg_type_url=SEND)
    (found,) = chain.query(f"{SERVICE}/Grants", one).grants
    assert GenericAuthorization.FromString(found.authorization.value).msg == SEND
    by_granter = chain.query(f"{SERVICE}/GranterGrants", q.QueryGranterGrantsRequest(granter=ALICE.address)).grants
    by_grantee = chain.query(f"{SERVICE}/GranteeGrants", q.QueryGranteeGrantsRequest(grantee=CAROL.address)).grants
    assert (len(by_granter), len(by_grantee)) == (4, 2)
    assert {(each.granter, each.grantee) for each in by_grantee} == {(ALICE.address, CAROL.address)}
    assert all(each in by_granter for each in by_grantee)
    page = q.QueryGranterGrantsRequest(granter=ALICE.address, pagination=PageRequest(limit=3))
    assert chain.query(f"{SERVICE}/GranterGrants", page).pagination.next_key


def test_a_grant_that_does_not_exist_is_told_so(chain: Chain) -> None:
    one = q.QueryGrantsRequest(granter=ALICE.address, grantee=BOB.address, msg_type_url=SEND)
    with pytest.raises(AssertionError, match="not found"):
        chain.query(f"{SERVICE}/Grants", one)
    one.msg_type_url = "/" + "x" * 1_000
    with pytest.raises(AssertionError, match="not the type"):
        chain.query(f"{SERVICE}/Grants", one)


def test_a_message_of_two_signers_cannot_be_carried() -> None:
    two = MsgMultiSend(inputs=[Input(address=each.address, coins=[COIN]) for each in (ALICE, CAROL)])
    carried = MessageHandler(MsgMultiSend, lambda _, __: two, gas=lambda _: 0, check=lambda _: None)
    handler = authz_messages.messages([carried])[-1]
    with pytest.raises(AuthzError, match="exactly one signer"):
        handler.check(msg_exec(two))


def test_expired_permissions_are_not_told() -> None:
    state = plain_block().state
    grant(state, Permission(ALICE.address, BOB.address, SEND, 10))
    view = View(state, "", 1, time=20)
    handlers = {handler.method.name: handler for handler in QUERIES}
    by_granter = q.QueryGranterGrantsRequest(granter=ALICE.address)
    by_grantee = q.QueryGranteeGrantsRequest(grantee=BOB.address)
    pair = q.QueryGrantsRequest(granter=ALICE.address, grantee=BOB.address)
    for name, request in (("GranterGrants", by_granter), ("GranteeGrants", by_grantee), ("Grants", pair)):
        assert not handlers[name].answer(view, request).grants


@pytest.mark.parametrize(("key_of_a_row", "words"), [(b"\x02", "but 3 and 1 rows"), (b"\x03", "but 2 and 2 rows")])
def test_a_row_that_finds_no_permission_is_noticed(key_of_a_row: bytes, words: str) -> None:
    state = plain_block().state
    grant(state, Permission(ALICE.address, BOB.address, SEND, 10))
    grant(state, Permission(ALICE.address, CAROL.address, SEND))
    check_permissions(state)
    state.set(STORE, key_of_a_row + bytes(9), b"\x01")
    with pytest.raises(AssertionError, match=f"2 permissions, 1 of them with an end, {words}"):
        check_permissions(state)
