"""The JSON of answers, as clients of the Cosmos SDK's gateway know it, and back."""

import json
from typing import Any

import cosmpy.protos  # noqa: F401
import pytest
from cosmos.auth.v1beta1.auth_pb2 import BaseAccount, ModuleAccount
from cosmos.authz.v1beta1.tx_pb2 import MsgExec
from cosmos.bank.v1beta1.authz_pb2 import SendAuthorization
from cosmos.bank.v1beta1.query_pb2 import QueryAllBalancesResponse
from cosmos.base.v1beta1.coin_pb2 import Coin, DecCoin
from cosmos.crypto.secp256k1.keys_pb2 import PubKey
from cosmos.gov.v1.gov_pb2 import Vote
from cosmos.mint.v1beta1.query_pb2 import QueryInflationResponse
from cosmos.slashing.v1beta1.slashing_pb2 import Params as SlashingParams
from cosmos.slashing.v1beta1.slashing_pb2 import ValidatorSigningInfo
from cosmos.staking.v1beta1.staking_pb2 import Commission, Validator
from cosmos.tx.v1beta1.tx_pb2 import ModeInfo, Tx, TxBody
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.message import Message
from google.protobuf.struct_pb2 import Struct, Value
from google.protobuf.timestamp_pb2 import Timestamp

from pivot.chain.gateway.json_form import MAX_NESTING, ZERO_TIME, document
from pivot.chain.gateway.json_parse import InvalidJson, read
from pivot.chain.gateway.refusals import Refusal
from pivot.protocol.generated.inference.inference.types_pb2 import Participant, ParticipantStatus
from pivot.protocol.messages import pack


@pytest.mark.parametrize(
    ("message", "told"),
    [
        (DecCoin(denom="ngonka", amount="1500000000000000000"), {"denom": "ngonka", "amount": "1.500000000000000000"}),
        (DecCoin(denom="ngonka"), {"denom": "ngonka", "amount": "0.000000000000000000"}),
        (QueryInflationResponse(inflation=b"-5"), {"inflation": "-0.000000000000000005"}),
        (Coin(denom="ngonka"), {"denom": "ngonka", "amount": "0"}),
        (
            SlashingParams(signed_blocks_window=100, min_signed_per_window=b"500000000000000000"),
            {
                "signed_blocks_window": "100",
                "min_signed_per_window": "0.500000000000000000",
                "downtime_jail_duration": "0s",
                "slash_fraction_double_sign": "0.000000000000000000",
                "slash_fraction_downtime": "0.000000000000000000",
            },
        ),
        (
            ValidatorSigningInfo(address="a", start_height=-1, jailed_until=Timestamp(seconds=1, nanos=500_000_000)),
            {
                "address": "a",
                "start_height": "-1",
                "index_offset": "0",
                "jailed_until": "1970-01-01T00:00:01.500Z",
                "tombstoned": False,
                "missed_blocks_counter": "0",
            },
        ),
        (
            Commission(),
            {
                "commission_rates": dict.fromkeys(("rate", "max_rate", "max_change_rate"), "0.000000000000000000"),
                "update_time": ZERO_TIME,
            },
        ),
        (QueryAllBalancesResponse(), {"balances": [], "pagination": None}),
        (
            QueryAllBalancesResponse(pagination={"total": 2}),
            {"balances": [], "pagination": {"next_key": None, "total": "2"}},
        ),
        (
            QueryAllBalancesResponse(pagination={"next_key": b"\xff\xfe"}),
            {"balances": [], "pagination": {"next_key": "//4=", "total": "0"}},
        ),
        (
            ModuleAccount(base_account=BaseAccount(address="a", pub_key=pack(PubKey(key=b"k"))), name="gov"),
            {
                "base_account": {
                    "address": "a",
                    "pub_key": {"@type": "/cosmos.crypto.secp256k1.PubKey", "key": "aw=="},
                    "account_number": "0",
                    "sequence": "0",
                },
                "name": "gov",
                "permissions": [],
            },
        ),
        (ModeInfo(single={"mode": 1}), {"single": {"mode": "SIGN_MODE_DIRECT"}}),
        (ModeInfo(single={"mode": 9}), {"single": {"mode": 9}}),
        (Struct(fields={"a": Value(bool_value=True)}), {"fields": {"a": {"bool_value": True}}}),
        (Tx(signatures=[b"s", b""]), {"body": None, "auth_info": None, "signatures": ["cw==", ""]}),
    ],
)
def test_a_message_has_the_shape_that_clients_know(message: Message, told: dict[str, Any]) -> None:
    assert document(message) == told
    assert list(document(message)) == list(told)


def test_fields_stand_in_the_order_of_the_proto_and_enums_have_names() -> None:
    told = document(Participant(address="a", status=ParticipantStatus.ACTIVE))
    assert told["status"] == "ACTIVE"
    assert list(told) == [field.name for field in Participant.DESCRIPTOR.fields]


def test_what_cannot_be_read_is_shown_as_far_as_it_goes() -> None:
    """A transaction that was refused may hold anything."""
    assert document(DecCoin(amount="many"))["amount"] == "many"
    assert document(SlashingParams(min_signed_per_window=b"\xff"))["min_signed_per_window"] == "\ufffd"
    assert document(TxBody(timeout_timestamp=Timestamp(seconds=2**60)))["timeout_timestamp"] is None
    assert document(Validator())["consensus_pubkey"] is None
    assert document(BaseAccount(pub_key=AnyMessage()))["pub_key"] is None
    for unknown in (AnyMessage(type_url="/no.Such"), AnyMessage(type_url="/cosmos.tx.v1beta1.Tx", value=b"\xff")):
        with pytest.raises(Refusal, match="cannot read"):
            document(BaseAccount(pub_key=unknown))


def test_messages_in_messages_without_end_are_refused() -> None:
    inner = pack(MsgExec())
    for _ in range(MAX_NESTING):
        inner = pack(MsgExec(msgs=[inner]))
    with pytest.raises(Refusal, match="more than 16 deep"):
        document(TxBody(messages=[inner]))


@pytest.mark.parametrize(
    "message",
    [
        SlashingParams(min_signed_per_window=b"500000000000000000", slash_fraction_downtime=b"1"),
        TxBody(messages=[pack(DecCoin(denom="ngonka", amount="-1"))], memo="m"),
        SendAuthorization(spend_limit=[Coin(denom="ngonka", amount="5")]),
        Vote(proposal_id=2**63, options=[{"option": 1, "weight": "1.000000000000000000"}]),
    ],
)
def test_what_is_shown_can_be_read_again(message: Message) -> None:
    if isinstance(message, SlashingParams):
        message.slash_fraction_double_sign = b"0"
        message.downtime_jail_duration.seconds = 0
    assert read(json.dumps(document(message)), type(message)()) == message


def test_both_spellings_of_a_field_are_read() -> None:
    expected = SlashingParams(min_signed_per_window=b"50000000000000000")
    assert read('{"minSignedPerWindow": "0.05"}', SlashingParams()) == expected
    assert read(b"", SlashingParams()) == SlashingParams()


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[]", "object"),
        ("{", "Expecting"),
        ('{"amount": "1.5.5"}', "no decimal"),
        ('{"amount": 1}', "amount"),
        ('{"colour": 1}', "colour"),
        ("[" * 100_000, "recursion"),
    ],
)
def test_text_of_another_shape_is_refused(text: str, sentence: str) -> None:
    with pytest.raises(InvalidJson, match=sentence):
        read(text, DecCoin())


def test_a_message_of_an_unknown_type_is_refused() -> None:
    for body in ('{"messages": [{"@type": "/no.Such"}]}', '{"messages": ["x"]}', '{"messages": [{"@type": 5}]}'):
        with pytest.raises(InvalidJson):
            read(body, TxBody())
