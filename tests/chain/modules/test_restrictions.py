"""Until a height users' coins stay where they are, on every path, but for exemptions that are counted."""

from typing import Any

import cosmpy.protos  # noqa: F401  (puts the folder of the standard types on the path)
import pytest
from cosmos.authz.v1beta1.authz_pb2 import GenericAuthorization, Grant
from cosmos.authz.v1beta1.tx_pb2 import MsgExec, MsgGrant
from cosmos.bank.v1beta1.bank_pb2 import Input, Output
from cosmos.bank.v1beta1.tx_pb2 import MsgMultiSend, MsgSend
from cosmos.base.query.v1beta1.pagination_pb2 import PageRequest
from cosmos.base.v1beta1.coin_pb2 import Coin
from cosmos.vesting.v1beta1.tx_pb2 import MsgCreatePermanentLockedAccount
from google.protobuf.message import Message

from pivot.chain.errors import NetworkCode, Rejection, RestrictionCode, SdkCode
from pivot.chain.modules.bank.state import ESCROW, balance, move
from pivot.chain.modules.restrictions import genesis, state
from pivot.chain.modules.restrictions.checks import (
    MAX_EXEMPTION_ID,
    MAX_EXEMPTIONS,
    MAX_JUSTIFICATION,
    InvalidRestrictions,
    check_restriction_params,
)
from pivot.chain.modules.restrictions.invariants import check_restrictions
from pivot.chain.modules.restrictions.messages import MESSAGES
from pivot.chain.modules.restrictions.queries import QUERIES
from pivot.chain.modules.restrictions.state import (
    lift,
    put_lifted,
    put_restriction_params,
    put_uses,
    restriction_params,
    uses,
)
from pivot.chain.modules.restrictions.transfers import transfer
from pivot.chain.types import Block, View
from pivot.primitives.addresses import of_module
from pivot.primitives.numbers import MAX_INT64
from pivot.protocol.generated.inference.restrictions import query_pb2
from pivot.protocol.generated.inference.restrictions.tx_pb2 import MsgExecuteEmergencyTransfer, MsgUpdateParams
from pivot.protocol.generated.inference.restrictions.types_pb2 import EmergencyTransferExemption, ExemptionUsage, Params
from pivot.protocol.messages import pack, type_url
from tests.chain.chain import Chain, events_of, key, next_block, plain_block

COINS = 10_000
END = 1_000
ALICE, BOB, CAROL = (key(name).address for name in ("alice", "bob", "carol"))
GOVERNANCE = of_module("gov")
RESTRICTED = {"restrictions": {"params": {"restriction_end_block": str(END)}}}
HANDLERS = {type_url(handler.type): handler for handler in MESSAGES}
_ANSWERS = {handler.method.name: handler.answer for handler in QUERIES}


def exemption(**fields: Any) -> EmergencyTransferExemption:
    """Alice may send Bob a hundred coins, twice."""
    described = {
        "exemption_id": "lawyers",
        "from_address": ALICE,
        "to_address": BOB,
        "max_amount": "100",
        "usage_limit": 2,
        "expiry_block": 500,
        "justification": "fees of the foundation's lawyers",
    }
    return EmergencyTransferExemption(**(described | fields))


def restricted(*exemptions: EmergencyTransferExemption, end: int = END) -> Block:
    """A block in which transfers are restricted."""
    block = plain_block(balances={ALICE: COINS, BOB: COINS, ESCROW: COINS})
    put_restriction_params(block.state, Params(restriction_end_block=end, emergency_transfer_exemptions=exemptions))
    return block


def deliver(block: Block, message: Message) -> Any:
    handler = HANDLERS[type_url(message)]
    handler.check(message)
    assert handler.gas(message) > 0
    with block.frame():
        return handler.handle(block, message)


def refused(block: Block, message: Message) -> Rejection:
    with pytest.raises(Rejection) as found:
        deliver(block, message)
    return found.value


def refused_transfer(block: Block, source: str, target: str, amount: int) -> Rejection:
    with pytest.raises(Rejection) as found, block.frame():
        transfer(block, source, target, amount)
    return found.value


def emergency(**fields: Any) -> MsgExecuteEmergencyTransfer:
    described = {
        "exemption_id": "lawyers",
        "from_address": ALICE,
        "to_address": BOB,
        "amount": "100",
        "denom": "ngonka",
    }
    return MsgExecuteEmergencyTransfer(**(described | fields))


def coins(amount: int) -> list[Coin]:
    return [Coin(denom="ngonka", amount=str(amount))]


def ask(block: Block, method: str, request: Any) -> Any:
    return _ANSWERS[method](View(block.state, block.chain_id, block.height, block.time), request)


# ---- What is refused ----


def test_transfers_are_refused_until_the_end_block_and_allowed_from_it_on() -> None:
    block = restricted(end=10)
    found = refused_transfer(block, ALICE, BOB, 1)
    assert (found.codespace, found.code) == ("restrictions", RestrictionCode.RESTRICTED)
    assert "until height 10" in found.log
    assert refused_transfer(next_block(block, 9), ALICE, BOB, 1).code == RestrictionCode.RESTRICTED
    transfer(next_block(block, 10), ALICE, BOB, 1)
    assert balance(block.state, BOB) == COINS + 1


def test_without_parameters_nothing_is_restricted() -> None:
    block = plain_block(balances={ALICE: COINS})
    transfer(block, ALICE, BOB, 1)
    assert balance(block.state, BOB) == 1


def test_modules_move_coins_as_ever() -> None:
    block = restricted()
    move(block.state, ALICE, ESCROW, 10)
    move(block.state, ESCROW, BOB, 10)
    assert balance(block.state, BOB) == COINS + 10


def test_w21_no_path_leads_around_the_restriction() -> None:
    """A send, one of many, one made by a grantee, coins locked for a new account: all are transfers, and all are refused."""
    chain = Chain({ALICE: COINS, BOB: COINS}, sections=RESTRICTED)
    send = MsgSend(from_address=ALICE, to_address=CAROL, amount=coins(5))
    many = MsgMultiSend(inputs=[Input(address=ALICE, coins=coins(5))], outputs=[Output(address=CAROL, coins=coins(5))])
    locked = MsgCreatePermanentLockedAccount(from_address=ALICE, to_address=CAROL, amount=coins(5))
    authorization = pack(GenericAuthorization(msg=type_url(MsgSend)))
    grant = MsgGrant(granter=ALICE, grantee=BOB, grant=Grant(authorization=authorization))
    assert chain.deliver(key("alice"), grant).code == 0
    for signer, message in (
        ("alice", send),
        ("alice", many),
        ("alice", locked),
        ("bob", MsgExec(grantee=BOB, msgs=[pack(send)])),
    ):
        result = chain.deliver(key(signer), message)
        assert (result.codespace, result.code) == ("restrictions", RestrictionCode.RESTRICTED), result.log
    assert chain.balance(CAROL) == 0


def test_blocks_lift_the_restriction_by_themselves() -> None:
    chain = Chain({ALICE: COINS}, sections={"restrictions": {"params": {"restriction_end_block": "4"}}})
    send = MsgSend(from_address=ALICE, to_address=CAROL, amount=coins(5))
    told = []
    for height in range(2, 6):
        (result,) = chain.block(chain.sign(key("alice"), send))
        assert (result.code == 0) == (height >= 4)
        told += [height for _ in events_of(chain.last, "restriction_lifted")]
    assert told == [4]


def test_a_fee_can_be_paid_while_transfers_are_restricted() -> None:
    chain = Chain({ALICE: COINS}, sections=RESTRICTED)
    grant = MsgGrant(
        granter=ALICE, grantee=BOB, grant=Grant(authorization=pack(GenericAuthorization(msg=type_url(MsgSend))))
    )
    assert chain.deliver(key("alice"), grant, fee=7).code == 0
    assert chain.balance(ALICE) == COINS - 7


# ---- Exemptions ----


def test_w21_a_plain_send_uses_up_an_exemption_as_an_emergency_transfer_does() -> None:
    """The published network counted only one of the two messages, so the other had no limit."""
    block = restricted(exemption())
    transfer(block, ALICE, BOB, 60)
    assert uses(block.state, "lawyers", ALICE) == 1
    assert deliver(block, emergency()).remaining_uses == 0
    assert refused_transfer(block, ALICE, BOB, 1).code == RestrictionCode.RESTRICTED
    assert refused(block, emergency()).code == RestrictionCode.USED_UP
    assert balance(block.state, BOB) == COINS + 160


@pytest.mark.parametrize(
    ("source", "target", "amount"), [(BOB, ALICE, 1), (ALICE, CAROL, 1), (ALICE, BOB, 101), (BOB, BOB, 1)]
)
def test_an_exemption_allows_what_it_names_and_nothing_else(source: str, target: str, amount: int) -> None:
    block = restricted(exemption())
    assert refused_transfer(block, source, target, amount).code == RestrictionCode.RESTRICTED
    message = emergency(from_address=source, to_address=target, amount=str(amount))
    assert refused(block, message).code == RestrictionCode.NO_EXEMPTION


def test_an_expired_exemption_allows_nothing() -> None:
    block = next_block(restricted(exemption()), 500)
    assert refused_transfer(block, ALICE, BOB, 1).code == RestrictionCode.RESTRICTED
    assert refused(block, emergency()).code == RestrictionCode.NO_EXEMPTION


def test_an_exemption_may_be_open_to_anybody_and_counts_for_each() -> None:
    block = restricted(exemption(from_address="*", to_address="*", usage_limit=1))
    transfer(block, ALICE, CAROL, 1)
    transfer(block, BOB, CAROL, 1)
    assert refused_transfer(block, ALICE, CAROL, 1).code == RestrictionCode.RESTRICTED


def test_the_next_exemption_serves_when_the_first_is_used_up() -> None:
    block = restricted(exemption(usage_limit=1), exemption(exemption_id="more"))
    transfer(block, ALICE, BOB, 1)
    transfer(block, ALICE, BOB, 1)
    assert [uses(block.state, name, ALICE) for name in ("lawyers", "more")] == [1, 1]


def test_a_refused_transfer_uses_up_nothing() -> None:
    block = restricted(exemption(max_amount="1000000", from_address="*"))
    assert refused_transfer(block, CAROL, BOB, 50).code == SdkCode.INSUFFICIENT_FUNDS
    assert uses(block.state, "lawyers", CAROL) == 0


def test_an_emergency_transfer_says_what_it_did() -> None:
    block = restricted(exemption())
    assert deliver(block, emergency(amount="40")).remaining_uses == 1
    told = [dict(event.attributes) for event in block.events if event.type == "emergency_transfer"]
    assert told == [
        {
            "exemption_id": "lawyers",
            "from_address": ALICE,
            "to_address": BOB,
            "amount": "40",
            "denom": "ngonka",
            "remaining_uses": "1",
        }
    ]


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"exemption_id": "unknown"}, RestrictionCode.NO_EXEMPTION),
        ({"from_address": "x"}, SdkCode.INVALID_ADDRESS),
        ({"to_address": "x"}, SdkCode.INVALID_ADDRESS),
        ({"denom": "btc"}, SdkCode.INVALID_COINS),
        ({"amount": "0"}, SdkCode.INVALID_COINS),
        ({"amount": "1.5"}, SdkCode.INVALID_COINS),
    ],
)
def test_an_emergency_transfer_with_a_wrong_field_is_refused(fields: dict[str, str], code: int) -> None:
    assert refused(restricted(exemption()), emergency(**fields)).code == code


def test_an_emergency_transfer_to_a_modules_account_is_refused() -> None:
    block = restricted(exemption(to_address="*"))
    assert refused(block, emergency(to_address=ESCROW)).code == SdkCode.UNAUTHORIZED


def test_without_a_restriction_there_is_no_emergency() -> None:
    block = restricted(exemption(), end=1)
    assert refused(block, emergency()).code == RestrictionCode.NO_EXEMPTION


# ---- Parameters ----


def test_only_governance_changes_the_parameters() -> None:
    block = restricted()
    changed = Params(restriction_end_block=7, emergency_transfer_exemptions=[exemption()])
    found = refused(block, MsgUpdateParams(authority=ALICE, params=changed))
    assert found.code == NetworkCode.NOT_GOVERNANCE
    deliver(block, MsgUpdateParams(authority=GOVERNANCE, params=changed))
    assert restriction_params(block.state) == changed


@pytest.mark.parametrize(
    ("params", "field"),
    [
        (Params(restriction_end_block=MAX_INT64 + 1), "restriction_end_block"),
        (Params(emergency_transfer_exemptions=[exemption()] * 2), "twice"),
        (
            Params(emergency_transfer_exemptions=[exemption(exemption_id=f"{n}") for n in range(MAX_EXEMPTIONS + 1)]),
            "at most",
        ),
        *(
            (Params(emergency_transfer_exemptions=[exemption(**{field: value})]), field)
            for field, value in (
                ("exemption_id", ""),
                ("exemption_id", "a/b"),
                ("exemption_id", "é"),
                ("exemption_id", "x" * (MAX_EXEMPTION_ID + 1)),
                ("from_address", "nobody"),
                ("to_address", ""),
                ("max_amount", "0"),
                ("max_amount", "many"),
                ("usage_limit", 0),
                ("expiry_block", 0),
                ("expiry_block", MAX_INT64 + 1),
                ("justification", ""),
                ("justification", "x" * (MAX_JUSTIFICATION + 1)),
            )
        ),
    ],
)
def test_parameters_that_cannot_be_are_refused_with_their_field(params: Params, field: str) -> None:
    with pytest.raises(InvalidRestrictions, match=field):
        check_restriction_params(params)
    found = refused(restricted(), MsgUpdateParams(authority=GOVERNANCE, params=params))
    assert found.code == SdkCode.INVALID_REQUEST


def test_the_end_of_the_restriction_is_told_once() -> None:
    block = restricted(end=3)
    for height, told in ((2, 0), (3, 1), (4, 0)):
        block = next_block(block, height)
        lift(block)
        assert len([event for event in block.events if event.type == "restriction_lifted"]) == told


def test_w24_uses_of_exemptions_are_forgotten_some_per_block_when_the_restriction_is_over(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An exemption for anybody has a row for everybody who has used it."""
    monkeypatch.setattr(state, "FORGOTTEN_PER_BLOCK", 2)
    block = restricted(exemption(from_address="*", to_address="*"))
    for source, target in ((ALICE, BOB), (BOB, CAROL), (CAROL, ALICE)):
        transfer(block, source, target, 1)
    lift(next_block(block, END - 1))
    assert len(list(state.usages(block.state))) == 3
    left = []
    for height in (END, END + 1):
        lift(next_block(block, height))
        left.append(len(list(state.usages(block.state))))
    assert left == [1, 0]


def test_a_restriction_that_begins_anew_is_lifted_anew() -> None:
    block = next_block(restricted(end=3), 3)
    lift(block)
    deliver(block, MsgUpdateParams(authority=GOVERNANCE, params=Params(restriction_end_block=5)))
    assert refused_transfer(block, ALICE, BOB, 1).code == RestrictionCode.RESTRICTED
    later = next_block(block, 5)
    lift(later)
    assert [event.type for event in later.events] == ["restriction_lifted"]


# ---- Queries and genesis ----


def test_status_exemptions_and_usage_are_told() -> None:
    block = restricted(exemption(from_address="*"), exemption(exemption_id="more", from_address="*"))
    transfer(block, ALICE, BOB, 1)
    transfer(block, BOB, BOB, 1)
    assert ask(block, "Params", query_pb2.QueryParamsRequest()).params.restriction_end_block == END
    status = ask(block, "TransferRestrictionStatus", query_pb2.QueryTransferRestrictionStatusRequest())
    assert (status.is_active, status.remaining_blocks) == (True, END - 1)
    page = PageRequest(offset=1, limit=5)
    listed = ask(block, "TransferExemptions", query_pb2.QueryTransferExemptionsRequest(pagination=page))
    assert ([each.exemption_id for each in listed.exemptions], listed.pagination.total) == (["more"], 2)
    for request, expected in (
        ({}, {ALICE, BOB}),
        ({"exemption_id": "lawyers"}, {ALICE, BOB}),
        ({"account_address": ALICE}, {ALICE}),
        ({"exemption_id": "lawyers", "account_address": BOB}, {BOB}),
        ({"exemption_id": "more"}, set()),
    ):
        usage = ask(block, "ExemptionUsage", query_pb2.QueryExemptionUsageRequest(**request))
        assert {each.account_address for each in usage.usage_entries} == expected
        assert all((each.exemption_id, each.usage_count) == ("lawyers", 1) for each in usage.usage_entries)


def test_after_the_end_no_blocks_remain() -> None:
    block = next_block(restricted(), END + 5)
    status = ask(block, "TransferRestrictionStatus", query_pb2.QueryTransferRestrictionStatusRequest())
    assert (status.is_active, status.remaining_blocks) == (False, 0)


def test_an_export_loads_into_the_same_rows() -> None:
    block = restricted(exemption(from_address="*"), end=3)
    transfer(block, ALICE, BOB, 1)
    require_same_export(block, b"ExemptionUsage/", b"RestrictionParams/")
    lift(next_block(block, 3))
    require_same_export(block, b"RestrictionLifted/", b"RestrictionParams/")


def require_same_export(block: Block, *prefixes: bytes) -> None:
    restored = plain_block()
    genesis.load(restored, genesis.export(block.state))
    for prefix in prefixes:
        rows = [list(each.state.iterate("inference", prefix, prefix + b"\xff")) for each in (block, restored)]
        assert rows[0] == rows[1] != []


def test_an_empty_section_restricts_nothing() -> None:
    block = plain_block()
    genesis.load(block, {})
    assert not list(block.state.iterate("inference", b"Restriction", b"S"))


@pytest.mark.parametrize(
    ("usage", "words"),
    [
        (ExemptionUsage(exemption_id="lawyers", account_address=ALICE), "has used 'lawyers' no times"),
        (ExemptionUsage(exemption_id="lawyers", account_address="nobody", usage_count=1), "contradicts itself"),
    ],
)
def test_uses_that_nobody_can_have_made_are_noticed(usage: ExemptionUsage, words: str) -> None:
    block = restricted(exemption())
    transfer(block, ALICE, BOB, 1)
    check_restrictions(block.state)
    put_uses(block.state, usage)
    with pytest.raises(AssertionError, match=words):
        check_restrictions(block.state)


def test_exemptions_that_nobody_can_read_are_noticed() -> None:
    with pytest.raises(AssertionError, match=r"contradicts itself: .*usage_limit"):
        check_restrictions(restricted(exemption(usage_limit=0)).state)


def test_a_restriction_that_is_lifted_and_never_was_is_noticed() -> None:
    block = plain_block()
    check_restrictions(block.state)
    put_lifted(block.state)
    with pytest.raises(AssertionError, match="without an end is lifted"):
        check_restrictions(block.state)
