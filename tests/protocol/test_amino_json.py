"""Amino JSON, held against what @cosmjs signs, and rule by rule."""

from typing import Any

import cosmpy.protos  # noqa: F401
import pytest
from cosmos.auth.v1beta1.auth_pb2 import ModuleCredential
from cosmos.authz.v1beta1.authz_pb2 import GenericAuthorization, Grant
from cosmos.authz.v1beta1.tx_pb2 import MsgExec, MsgGrant
from cosmos.bank.v1beta1.tx_pb2 import MsgSend
from cosmos.base.query.v1beta1.pagination_pb2 import PageRequest
from cosmos.base.v1beta1.coin_pb2 import Coin
from cosmos.crypto.secp256k1.keys_pb2 import PubKey
from cosmos.feegrant.v1beta1.feegrant_pb2 import BasicAllowance, PeriodicAllowance
from cosmos.gov.v1.tx_pb2 import MsgVoteWeighted
from cosmos.gov.v1beta1 import tx_pb2 as votes_of_the_vectors  # noqa: F401
from cosmos.staking.v1beta1.authz_pb2 import StakeAuthorization
from cosmos.tx.v1beta1.tx_pb2 import AuthInfo, TxBody, TxRaw
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration
from google.protobuf.struct_pb2 import Struct, Value
from google.protobuf.timestamp_pb2 import Timestamp
from google.protobuf.wrappers_pb2 import DoubleValue

from pivot.primitives.keys import PrivateKey
from pivot.protocol import amino_json as rules
from pivot.protocol.amino_json import NotInAminoJson, amino_json, amino_sign_bytes
from pivot.protocol.generated.inference.inference.tx_pb2 import MsgStartInference
from pivot.protocol.messages import pack
from pivot.protocol.multisig import threshold_key
from tests.vectors import load_vectors

PUBLISHED = load_vectors("amino_json.json")
OUR_OWN = MsgStartInference(creator="gonka1x", inference_id="id", max_tokens=64, developer_public_key=b"\x01\x02")


@pytest.mark.parametrize(
    "vector", PUBLISHED["transactions"], ids=lambda each: f"{each['account_number']}-{each['sequence']}"
)
def test_what_is_signed_is_what_a_published_wallet_signs(vector: dict[str, Any]) -> None:
    raw = TxRaw.FromString(bytes.fromhex(vector["tx_raw_hex"]))
    chain_id = PUBLISHED["chain_id"]
    number, sequence = vector["account_number"], vector["sequence"]
    signed_bytes = amino_sign_bytes(raw.body_bytes, raw.auth_info_bytes, chain_id, number, sequence)
    assert signed_bytes.decode() == vector["sign_json"]


def test_text_is_escaped_as_the_go_implementation_does() -> None:
    assert r'"memo":"\u003c\u003e\u0026\u2028\u2029\n\u0001é"' in signed(TxBody(memo="<>&\u2028\u2029\n\x01é"))


def signed(body: TxBody, auth: AuthInfo | None = None) -> str:
    return amino_sign_bytes(body.SerializeToString(), (auth or AuthInfo()).SerializeToString(), "c", 1, 2).decode()


def test_an_empty_transaction_has_all_fields_that_are_never_left_out() -> None:
    assert signed(TxBody()) == (
        '{"account_number":"1","chain_id":"c","fee":{"amount":[],"gas":"0"},"memo":"","msgs":[],"sequence":"2"}'
    )


def test_payer_granter_and_height_are_covered() -> None:
    auth = AuthInfo()
    auth.fee.payer, auth.fee.granter = "p", "g"
    text = signed(TxBody(timeout_height=7), auth)
    assert '"fee":{"amount":[],"gas":"0","granter":"g","payer":"p"}' in text
    assert '"timeout_height":"7"' in text


@pytest.mark.parametrize(
    "body",
    [TxBody(unordered=True), TxBody(timeout_timestamp=Timestamp()), TxBody(timeout_timestamp=Timestamp(seconds=1))],
)
def test_what_the_signature_would_not_cover_is_refused(body: TxBody) -> None:
    with pytest.raises(NotInAminoJson, match="SIGN_MODE_DIRECT"):
        signed(body)


def test_a_message_of_our_own_is_named_by_its_type_url() -> None:
    assert amino_json(pack(OUR_OWN)) == {
        "type": "/inference.inference.MsgStartInference",
        "value": {"creator": "gonka1x", "inference_id": "id", "max_tokens": "64", "developer_public_key": "AQI="},
    }


def test_a_message_inside_another_has_its_name_too() -> None:
    send = MsgSend(from_address="a", to_address="b")
    assert amino_json(MsgExec(grantee="g", msgs=[pack(send)])) == {
        "type": "cosmos-sdk/MsgExec",
        "value": {
            "grantee": "g",
            "msgs": [{"type": "cosmos-sdk/MsgSend", "value": {"from_address": "a", "to_address": "b", "amount": []}}],
        },
    }


def test_times_are_rfc_3339_with_the_digits_they_have() -> None:
    def told(time: Timestamp) -> Any:
        grant = Grant(authorization=pack(GenericAuthorization(msg="/m")), expiration=time)
        return amino_json(MsgGrant(granter="a", grantee="b", grant=grant))["value"]["grant"]["expiration"]

    assert told(Timestamp(seconds=1_700_000_000)) == "2023-11-14T22:13:20Z"
    assert told(Timestamp(seconds=1_700_000_000, nanos=120_000_000)) == "2023-11-14T22:13:20.12Z"
    assert told(Timestamp(seconds=1_700_000_000, nanos=1)) == "2023-11-14T22:13:20.000000001Z"
    with pytest.raises(NotInAminoJson, match="no time"):
        told(Timestamp(seconds=2**60))


def test_durations_are_nanoseconds_and_what_must_not_be_left_out_is_there() -> None:
    periodic = PeriodicAllowance(basic=BasicAllowance(), period=Duration(seconds=3, nanos=5))
    assert amino_json(periodic) == {
        "type": "cosmos-sdk/PeriodicAllowance",
        "value": {
            "basic": {"spend_limit": []},
            "period": "3000000005",
            "period_spend_limit": [],
            "period_can_spend": [],
            "period_reset": "1970-01-01T00:00:00Z",
        },
    }


@pytest.mark.parametrize(
    ("text", "decimal"),
    [
        ("", "0"),
        ("0", "0.000000000000000000"),
        ("1", "0.000000000000000001"),
        ("300000000000000000", "0.300000000000000000"),
        ("12000000000000000000", "12.000000000000000000"),
        ("-5", "-0.000000000000000005"),
        (b"50", "0.000000000000000050"),
    ],
)
def test_decimals_get_their_point(text: str | bytes, decimal: str) -> None:
    assert rules._decimal(text) == decimal


@pytest.mark.parametrize("text", ["x", "1.5", "-", "\u0661"])
def test_what_is_no_decimal_is_refused(text: str) -> None:
    with pytest.raises(NotInAminoJson, match="not a decimal"):
        rules._decimal(text)


def test_keys_are_their_bytes_and_coins_without_an_amount_are_0() -> None:
    assert amino_json(PubKey(key=b"\x01")) == {"type": "tendermint/PubKeySecp256k1", "value": "AQ=="}
    assert amino_json(PubKey())["value"] is None
    assert amino_json(Coin(denom="x")) == {"denom": "x", "amount": "0"}


def test_empty_lists_are_left_out_or_null() -> None:
    assert amino_json(MsgVoteWeighted(proposal_id=1, voter="v"))["value"] == {"proposal_id": "1", "voter": "v"}
    assert amino_json(PageRequest(limit=3, reverse=True)) == {"limit": "3", "reverse": True}
    assert amino_json(ModuleCredential(module_name="m", derivation_keys=[b"\x01"]))["value"] == {
        "module_name": "m",
        "derivation_keys": ["AQ=="],
    }


@pytest.mark.parametrize(
    ("message", "sentence"),
    [
        (AnyMessage(type_url="/no.such.Message"), "cannot be read"),
        (AnyMessage(type_url="/cosmos.bank.v1beta1.MsgSend", value=b"\xff"), "cannot be read"),
        (Struct(), "is a map"),
        (Value(), "one of several"),
        (StakeAuthorization(), "one of several"),
    ],
)
def test_what_this_form_cannot_express_is_refused(message: Any, sentence: str) -> None:
    with pytest.raises(NotInAminoJson, match=sentence):
        amino_json(message)


def test_messages_inside_messages_have_a_bound() -> None:
    packed = pack(MsgSend())
    for _ in range(rules.MAX_NESTING - 1):
        packed = pack(MsgExec(msgs=[packed]))
    assert amino_json(packed)["type"] == "cosmos-sdk/MsgExec"
    with pytest.raises(NotInAminoJson, match="deep"):
        amino_json(MsgExec(msgs=[pack(MsgExec(msgs=[packed]))]))


def test_a_key_of_several_keys_tells_its_members() -> None:
    key = threshold_key([PrivateKey(b"\x01" * 32).public_key], 1)
    (member,) = amino_json(key)["value"]["pubkeys"]
    assert (amino_json(key)["type"], member["type"]) == (
        "tendermint/PubKeyMultisigThreshold",
        "tendermint/PubKeySecp256k1",
    )
    assert amino_json(key)["value"]["threshold"] == "1"


def test_a_float_is_refused() -> None:
    with pytest.raises(NotInAminoJson, match="no exact number"):
        amino_json(DoubleValue(value=1))
