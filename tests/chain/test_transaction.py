"""How transactions are decoded, and what is refused before any state is looked at."""

import contextlib
from typing import Any

import cosmpy.protos  # noqa: F401
import pytest
from cosmos.authz.v1beta1.tx_pb2 import MsgExec
from cosmos.bank.v1beta1.tx_pb2 import MsgSend
from cosmos.base.v1beta1.coin_pb2 import Coin
from cosmos.tx.v1beta1.tx_pb2 import AuthInfo, Tip, TxBody, TxRaw
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given
from hypothesis import strategies as st

from pivot.chain.errors import Rejection, SdkCode
from pivot.chain.registry import MESSAGES
from pivot.chain.transaction import MAX_MESSAGES, MAX_TRANSACTION_BYTES, Transaction, decode_transaction
from pivot.primitives.keys import verify
from pivot.protocol.messages import pack
from pivot.protocol.transactions import ordered, sign_bytes, transaction_hash
from tests.chain.chain import CHAIN_ID, key
from tests.vectors import load_vectors

ALICE, BOB = key("alice"), key("bob")
UNKNOWN_FIELD = b"\xfa\x7c\x01x"  # field 1999, which no type has
SEND = MsgSend(from_address=ALICE.address, to_address=BOB.address, amount=[Coin(denom="ngonka", amount="5")])
SENDS_OF_VECTORS = [
    vector
    for vector in load_vectors("transactions.json")["transactions"]
    if vector["messages"] == ["/cosmos.bank.v1beta1.MsgSend"]
]


def signed(*messages: Any, **options: Any) -> bytes:
    return ordered(ALICE, messages or [SEND], **{"chain_id": CHAIN_ID, "account_number": 0, "sequence": 0, **options})


def changed(*, body: Any = None, auth: Any = None, outer: Any = None) -> bytes:
    """A transaction after something was changed in its body, its auth info or its outside."""
    raw = TxRaw.FromString(signed())
    if body is not None:
        inner = TxBody.FromString(raw.body_bytes)
        body(inner)
        raw.body_bytes = inner.SerializeToString()
    if auth is not None:
        info = AuthInfo.FromString(raw.auth_info_bytes)
        auth(info)
        raw.auth_info_bytes = info.SerializeToString()
    if outer is not None:
        outer(raw)
    return raw.SerializeToString()


def refusal(raw: bytes, *, simulated: bool = False) -> Rejection:
    with pytest.raises(Rejection) as caught:
        decode_transaction(raw, MESSAGES, simulated=simulated)
    return caught.value


def test_a_send_is_decoded() -> None:
    raw = signed(gas_limit=200_000, fee=7)
    transaction = decode_transaction(raw, MESSAGES)
    assert [call.message for call in transaction.calls] == [SEND]
    assert [(signer.address, signer.sequence, signer.public_key) for signer in transaction.signers] == [
        (ALICE.address, 0, ALICE.public_key)
    ]
    assert (transaction.gas, transaction.gas_limit, transaction.fee) == (10 * len(raw) + 1_000 + 20_000, 200_000, 7)
    assert not transaction.is_duty
    assert not transaction.is_urgent


@pytest.mark.parametrize("vector", SENDS_OF_VECTORS, ids=lambda vector: vector["tx_hash"][:8])
def test_a_transaction_of_a_published_wallet_is_decoded_and_its_signature_is_good(vector: dict[str, Any]) -> None:
    raw = bytes.fromhex(vector["tx_raw_hex"])
    transaction: Transaction = decode_transaction(raw, MESSAGES)
    signed_bytes = sign_bytes(transaction.body, transaction.auth_info, vector["chain_id"], vector["account_number"])
    (signer,) = transaction.signers
    assert signed_bytes.hex() == vector["sign_bytes_hex"]
    assert (signer.address, signer.sequence) == (vector["address"], vector["sequence"])
    assert verify(signer.public_key, signed_bytes, signer.signature)
    assert transaction_hash(raw) == vector["tx_hash"]


def test_the_vectors_hold_sends() -> None:
    assert SENDS_OF_VECTORS


@given(st.binary(max_size=200))
def test_bytes_that_are_no_transaction_are_refused(raw: bytes) -> None:
    assert refusal(raw).code > 0


@given(st.data())
def test_a_transaction_with_a_changed_byte_is_decoded_or_refused(data: st.DataObject) -> None:
    raw = bytearray(signed())
    raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(Rejection):
        decode_transaction(bytes(raw), MESSAGES)


def test_a_field_that_a_type_does_not_have_is_refused_everywhere() -> None:
    def in_message(body: TxBody) -> None:
        body.messages[0].value += UNKNOWN_FIELD

    def in_coin(body: TxBody) -> None:
        coin = Coin(denom="ngonka", amount="5").SerializeToString() + UNKNOWN_FIELD
        body.messages[0].value = (
            MsgSend(from_address=ALICE.address, to_address=BOB.address).SerializeToString()
            + b"\x1a"
            + bytes([len(coin)])
            + coin
        )

    def in_body(raw: TxRaw) -> None:
        raw.body_bytes += UNKNOWN_FIELD

    def in_auth_info(raw: TxRaw) -> None:
        raw.auth_info_bytes += UNKNOWN_FIELD

    def in_public_key(auth: AuthInfo) -> None:
        auth.signer_infos[0].public_key.value += UNKNOWN_FIELD

    inside = AnyMessage(type_url="/cosmos.bank.v1beta1.MsgSend", value=SEND.SerializeToString() + UNKNOWN_FIELD)
    for raw in (
        changed(body=in_message),
        changed(body=in_coin),
        changed(outer=in_body),
        changed(outer=in_auth_info),
        changed(auth=in_public_key),
        signed() + UNKNOWN_FIELD,
        signed(MsgExec(grantee=ALICE.address, msgs=[inside])),
    ):
        found = refusal(raw)
        assert found.code == SdkCode.TX_DECODE
        assert "a field that this chain does not know" in found.log


def test_one_signed_content_has_one_encoding() -> None:
    raw = TxRaw.FromString(signed())
    reordered = TxRaw(signatures=raw.signatures).SerializeToString()
    reordered += TxRaw(body_bytes=raw.body_bytes, auth_info_bytes=raw.auth_info_bytes).SerializeToString()
    assert TxRaw.FromString(reordered) == raw
    assert "canonically" in refusal(reordered).log


def test_what_is_too_large_is_refused() -> None:
    assert refusal(bytes(MAX_TRANSACTION_BYTES + 1)).code == SdkCode.TX_TOO_LARGE
    assert refusal(signed(memo="m" * 257)).code == SdkCode.MEMO_TOO_LARGE
    assert "messages" in refusal(signed(*[SEND] * (MAX_MESSAGES + 1))).log
    assert decode_transaction(signed(memo="é" * 256), MESSAGES)


def test_no_message_is_refused() -> None:
    assert "messages" in refusal(changed(body=lambda body: body.ClearField("messages"))).log


def test_an_unknown_message_is_refused_by_name() -> None:
    found = refusal(signed(TxRaw()))
    assert found.code == SdkCode.UNKNOWN_REQUEST
    assert "/cosmos.tx.v1beta1.TxRaw" in found.log


def test_too_many_signers_are_refused() -> None:
    sends = [MsgSend(from_address=key(f"{i}").address, to_address=BOB.address, amount=SEND.amount) for i in range(8)]
    assert "8 signers" in refusal(signed(*sends)).log


def test_signatures_must_be_as_many_as_signers() -> None:
    missing = refusal(changed(outer=lambda raw: raw.ClearField("signatures")))
    assert missing.code == SdkCode.NO_SIGNATURES
    twice = refusal(changed(outer=lambda raw: raw.signatures.append(bytes(64))))
    assert twice.code == SdkCode.UNAUTHORIZED
    assert refusal(changed(auth=lambda auth: auth.ClearField("signer_infos"))).code == SdkCode.UNAUTHORIZED


def test_a_signer_that_is_no_address_is_refused() -> None:
    message = MsgExec(grantee="gonka1nobody", msgs=[pack(SEND)])
    assert refusal(signed(message)).code == SdkCode.INVALID_ADDRESS


@pytest.mark.parametrize("mode", [0, 2, 191])
def test_other_signing_modes_are_refused_with_those_that_are_taken(mode: int) -> None:
    def set_mode(auth: AuthInfo) -> None:
        auth.signer_infos[0].mode_info.single.mode = mode

    assert "use SIGN_MODE_DIRECT" in refusal(changed(auth=set_mode)).log


def test_extensions_and_tips_are_refused() -> None:
    some = pack(SEND)
    assert "extension_options" in refusal(changed(body=lambda body: body.extension_options.append(some))).log
    more = refusal(changed(body=lambda body: body.non_critical_extension_options.append(some)))
    assert "extension_options" in more.log
    assert "tip" in refusal(changed(auth=lambda auth: auth.tip.CopyFrom(Tip(tipper=BOB.address)))).log


def test_whoever_is_to_pay_must_sign_and_a_granter_must_be_an_address() -> None:
    assert "expected 2, got 1" in refusal(changed(auth=lambda auth: setattr(auth.fee, "payer", BOB.address))).log
    own = decode_transaction(changed(auth=lambda auth: setattr(auth.fee, "payer", ALICE.address)), MESSAGES)
    assert (own.payer, own.granter) == (ALICE.address, "")
    assert "fee.granter" in refusal(changed(auth=lambda auth: setattr(auth.fee, "granter", "gonka1x"))).log
    granted = decode_transaction(changed(auth=lambda auth: setattr(auth.fee, "granter", BOB.address)), MESSAGES)
    assert (granted.payer, granted.granter) == (ALICE.address, BOB.address)


@pytest.mark.parametrize("amount", ["-1", "", "1.5", "١", str(2**63), "9" * 40])
def test_a_fee_that_is_no_amount_is_refused(amount: str) -> None:
    found = refusal(changed(auth=lambda auth: auth.fee.amount.append(Coin(denom="ngonka", amount=amount))))
    assert found.code == SdkCode.INVALID_COINS


def test_a_fee_in_another_coin_is_refused() -> None:
    one = refusal(changed(auth=lambda auth: auth.fee.amount.append(Coin(denom="uatom", amount="1"))))
    two = refusal(changed(auth=lambda auth: auth.fee.amount.extend([Coin(denom="ngonka", amount="1")] * 2)))
    assert one.code == two.code == SdkCode.INVALID_COINS
    zero = changed(auth=lambda auth: auth.fee.amount.append(Coin(denom="ngonka", amount="0")))
    assert decode_transaction(zero, MESSAGES).fee == 0


def test_an_unordered_transaction_needs_a_timeout_and_no_sequence() -> None:
    def unordered(body: TxBody) -> None:
        body.unordered = True

    def until(body: TxBody) -> None:
        body.unordered = True
        body.timeout_timestamp.seconds = 1_800_000_000

    assert "timeout_timestamp" in refusal(changed(body=unordered)).log
    third = changed(body=until, auth=lambda auth: setattr(auth.signer_infos[0], "sequence", 3))
    assert "sequence must be 0" in refusal(third).log
    assert decode_transaction(changed(body=until), MESSAGES).timeout_ns == 1_800_000_000 * 10**9


@pytest.mark.parametrize("time", [Timestamp(seconds=-1), Timestamp(nanos=10**9), Timestamp(seconds=2**40)])
def test_a_timeout_that_is_no_time_is_refused(time: Timestamp) -> None:
    assert "timeout_timestamp" in refusal(changed(body=lambda body: body.timeout_timestamp.CopyFrom(time))).log


def test_a_simulated_transaction_needs_no_signature_and_no_mode() -> None:
    def bare(auth: AuthInfo) -> None:
        auth.signer_infos[0].ClearField("mode_info")

    raw = changed(auth=bare, outer=lambda outer: outer.ClearField("signatures"))
    assert decode_transaction(raw, MESSAGES, simulated=True).signers[0].signature == b""
    assert refusal(raw)


def test_a_message_of_another_that_cannot_be_carried_is_refused() -> None:
    nested = MsgExec(grantee=ALICE.address, msgs=[pack(SEND)])
    assert "another MsgExec" in refusal(signed(MsgExec(grantee=ALICE.address, msgs=[pack(nested)]))).log
    assert refusal(signed(MsgExec(grantee=ALICE.address))).code == SdkCode.INVALID_REQUEST


def test_the_gas_of_an_exec_is_that_of_what_it_carries() -> None:
    raw = signed(MsgExec(grantee=ALICE.address, msgs=[pack(SEND), pack(SEND)]))
    transaction = decode_transaction(raw, MESSAGES)
    assert transaction.gas == 10 * len(raw) + 1_000 + 5_000 + 2 * 20_000
    assert [act.message for act in transaction.acts] == [SEND, SEND]
