"""The two tables, and how a message's bytes become a message."""

import pytest
from cosmos.bank.v1beta1 import query_pb2
from cosmos.bank.v1beta1.tx_pb2 import MsgSend
from google.protobuf.any_pb2 import Any as AnyMessage

from pivot.chain.errors import SdkError
from pivot.chain.handlers import MessageHandler, MessageTable, QueryTable, decode, query
from pivot.chain.registry import MESSAGES, QUERIES
from pivot.protocol.messages import pack

HANDLER = MessageHandler(MsgSend, lambda _, __: MsgSend(), gas=lambda _: 0, check=lambda _: None)
LINE = query(query_pb2.DESCRIPTOR.services_by_name["Query"], "Balance", lambda _, __: query_pb2.QueryBalanceResponse())


def test_a_message_or_a_query_is_registered_once() -> None:
    with pytest.raises(ValueError, match="message is registered twice"):
        MessageTable([HANDLER, HANDLER])
    with pytest.raises(ValueError, match="query is registered twice"):
        QueryTable([LINE, LINE])


def test_a_query_is_found_by_its_path() -> None:
    table = QueryTable([LINE])
    found = table.find("/cosmos.bank.v1beta1.Query/Balance")
    assert found is LINE
    assert (found.request, found.response) == (query_pb2.QueryBalanceRequest, query_pb2.QueryBalanceResponse)
    assert table.find("/cosmos.bank.v1beta1.Query/Other") is None


def test_a_message_is_unpacked_with_its_handler() -> None:
    message = MsgSend(from_address="a")
    assert MessageTable([HANDLER]).unpack(pack(message)) == (HANDLER, message)
    with pytest.raises(SdkError, match=r"there is no message '/x\.Y'"):
        MessageTable([HANDLER]).unpack(AnyMessage(type_url="/x.Y"))


def test_bytes_that_are_no_message_are_refused() -> None:
    with pytest.raises(SdkError, match="cannot be decoded"):
        decode(MsgSend, b"\xff\xff")
    with pytest.raises(SdkError, match="field that this chain does not know"):
        decode(MsgSend, b"\xfa\x7c\x01x")


def test_the_tables_hold_what_every_client_needs() -> None:
    for url in (
        "/cosmos.bank.v1beta1.MsgSend",
        "/cosmos.bank.v1beta1.MsgMultiSend",
        "/cosmos.authz.v1beta1.MsgGrant",
        "/cosmos.authz.v1beta1.MsgRevoke",
        "/cosmos.authz.v1beta1.MsgExec",
    ):
        assert url in MESSAGES.all()
    for path in (
        "/cosmos.auth.v1beta1.Query/Account",
        "/cosmos.bank.v1beta1.Query/Balance",
        "/cosmos.authz.v1beta1.Query/GranterGrants",
        "/cosmos.consensus.v1.Query/Params",
    ):
        assert path in QUERIES.all()
