"""The tx service, as wallets call it."""

from typing import Any

import pytest
from cosmos.base.query.v1beta1.pagination_pb2 import PageRequest
from cosmos.tx.v1beta1 import service_pb2
from cosmos.tx.v1beta1.tx_pb2 import AuthInfo, TxBody, TxRaw

from pivot.chain.errors import absence_log
from pivot.chain.gateway.engine import Engine
from pivot.chain.gateway.refusals import Refusal
from pivot.chain.gateway.transactions import MAX_TRANSACTION_BYTES, SIMULATE_PATH, Transactions
from pivot.protocol.transactions import transaction_hash
from tests.chain.gateway.conftest import FakeEngine, base64_of
from tests.chain.gateway.test_blocks import BLOCK

RAW = TxRaw(
    body_bytes=TxBody(memo="hello").SerializeToString(),
    auth_info_bytes=AuthInfo().SerializeToString(),
    signatures=[b"s"],
).SerializeToString()
OTHER = TxRaw(body_bytes=TxBody(memo="other").SerializeToString(), signatures=[b"s"]).SerializeToString()
FOUND: dict[str, Any] = {
    "hash": transaction_hash(RAW),
    "height": "5",
    "tx": base64_of(RAW),
    "tx_result": {
        "code": 0,
        "data": base64_of(b"\x12\x00"),
        "gas_wanted": "9",
        "gas_used": "8",
        "events": [{"type": "transfer", "attributes": [{"key": "amount", "value": "1ngonka", "index": True}]}],
    },
}


@pytest.fixture
def engine(fake_engine: tuple[FakeEngine, Engine]) -> tuple[FakeEngine, Transactions]:
    fake, engine = fake_engine
    fake.answers["header"] = lambda _: {"header": {"time": "2026-01-02T03:04:05.123456789Z"}}
    return fake, Transactions(engine)


async def test_a_transaction_is_found_by_its_hash(engine: tuple[FakeEngine, Transactions]) -> None:
    fake, transactions = engine
    fake.answers["tx"] = lambda _: FOUND
    answer = await transactions.get(service_pb2.GetTxRequest(hash=transaction_hash(RAW)))
    assert answer.tx.body.memo == "hello"
    assert answer.tx_response.txhash == transaction_hash(RAW)
    assert answer.tx_response.timestamp == "2026-01-02T03:04:05Z"
    assert answer.tx_response.data == "1200"
    assert answer.tx_response.events[0].attributes[0].value == "1ngonka"
    assert answer.tx_response.tx.type_url == "/cosmos.tx.v1beta1.Tx"


async def test_an_unknown_hash_is_not_found_and_a_wrong_one_is_refused(engine: tuple[FakeEngine, Transactions]) -> None:
    _, transactions = engine
    with pytest.raises(Refusal, match="tx not found") as refusal:
        await transactions.get(service_pb2.GetTxRequest(hash="AB" * 32))
    assert refusal.value.http_status == 404
    with pytest.raises(Refusal, match="not the hash"):
        await transactions.get(service_pb2.GetTxRequest(hash="AB"))


async def test_a_search_names_its_conditions(engine: tuple[FakeEngine, Transactions]) -> None:
    fake, transactions = engine
    unreadable = FOUND | {"tx": base64_of(b"\xff")}
    fake.answers["tx_search"] = lambda _: {"txs": [FOUND, unreadable], "total_count": "2"}
    request = service_pb2.GetTxsEventRequest(
        events=["message.sender='gonka1x'", "tx.height>3"], limit=10, page=2, order_by=service_pb2.ORDER_BY_DESC
    )
    answer = await transactions.search(request)
    assert (len(answer.txs), answer.total, answer.tx_responses[0].height) == (2, 2, 5)
    asked = {"query": "message.sender='gonka1x' AND tx.height>3", "page": "2", "per_page": "10", "order_by": "desc"}
    assert ("tx_search", asked) in fake.calls
    for wrong in ([], ["nonsense"]):
        with pytest.raises(Refusal, match="conditions"):
            await transactions.search(service_pb2.GetTxsEventRequest(events=wrong))


async def test_a_broadcast_tells_the_applications_verdict(engine: tuple[FakeEngine, Transactions]) -> None:
    fake, transactions = engine
    fake.answers["broadcast_tx_sync"] = lambda _: {"code": 5, "codespace": "sdk", "log": "too poor", "hash": "AB"}
    fake.answers["broadcast_tx_async"] = lambda _: {"code": 0, "hash": "AB"}
    answer = await transactions.broadcast(service_pb2.BroadcastTxRequest(tx_bytes=RAW))
    assert (answer.tx_response.code, answer.tx_response.raw_log) == (5, "too poor")
    request = service_pb2.BroadcastTxRequest(tx_bytes=RAW, mode=service_pb2.BROADCAST_MODE_ASYNC)
    assert (await transactions.broadcast(request)).tx_response.code == 0
    blocking = service_pb2.BroadcastTxRequest(tx_bytes=RAW, mode=service_pb2.BROADCAST_MODE_BLOCK)
    with pytest.raises(Refusal, match="unsupported return type block"):
        await transactions.broadcast(blocking)
    for wrong in (b"", b"x" * (MAX_TRANSACTION_BYTES + 1)):
        with pytest.raises(Refusal):
            await transactions.broadcast(service_pb2.BroadcastTxRequest(tx_bytes=wrong))


async def test_a_transaction_that_waits_already_has_its_published_code(engine: tuple[FakeEngine, Transactions]) -> None:
    fake, transactions = engine

    def in_cache(_: Any) -> Any:
        raise LookupError("tx already exists in cache")

    def full(_: Any) -> Any:
        raise LookupError("mempool is full")

    fake.answers["broadcast_tx_sync"] = in_cache
    answer = await transactions.broadcast(service_pb2.BroadcastTxRequest(tx_bytes=RAW))
    assert (answer.tx_response.code, answer.tx_response.txhash) == (19, transaction_hash(RAW))
    fake.answers["broadcast_tx_sync"] = full
    with pytest.raises(Refusal, match="full"):
        await transactions.broadcast(service_pb2.BroadcastTxRequest(tx_bytes=RAW))


async def test_a_block_is_shown_with_its_transactions(engine: tuple[FakeEngine, Transactions]) -> None:
    fake, transactions = engine
    block = BLOCK | {"block": BLOCK["block"] | {"data": {"txs": [base64_of(raw) for raw in (RAW, b"\xff", OTHER)]}}}
    fake.answers["block"] = lambda _: block

    async def memos(height: int = 5, **page: Any) -> list[str]:
        request = service_pb2.GetBlockWithTxsRequest(height=height, pagination=PageRequest(**page))
        found = await transactions.of_block(request)
        assert (found.pagination.total, found.block.header.height) == (3, 5)
        return [each.body.memo for each in found.txs]

    assert await memos() == ["hello", "", "other"]
    assert await memos(limit=1, offset=2) == ["other"]
    assert await memos(limit=2, reverse=True) == ["other", ""]
    for wrong in ({"height": 0}, {"offset": 3}, {"key": b"k"}):
        with pytest.raises(Refusal) as refusal:
            await memos(**wrong)
        assert refusal.value.http_status == 400


async def test_a_transaction_is_decoded_and_encoded(engine: tuple[FakeEngine, Transactions]) -> None:
    _, transactions = engine
    found = (await transactions.decode(service_pb2.TxDecodeRequest(tx_bytes=RAW))).tx
    assert found.body.memo == "hello"
    assert (await transactions.encode(service_pb2.TxEncodeRequest(tx=found))).tx_bytes == RAW
    for wrong in (b"", b"\xff"):
        with pytest.raises(Refusal, match="tx"):
            await transactions.decode(service_pb2.TxDecodeRequest(tx_bytes=wrong))
    with pytest.raises(Refusal, match="empty"):
        await transactions.encode(service_pb2.TxEncodeRequest())


async def test_a_simulation_is_the_applications(engine: tuple[FakeEngine, Transactions]) -> None:
    fake, transactions = engine
    response = service_pb2.SimulateResponse()
    response.gas_info.gas_used = 77
    value = base64_of(response.SerializeToString())
    fake.answers["abci_query"] = lambda _: {"response": {"code": 0, "value": value}}
    assert (await transactions.simulate(service_pb2.SimulateRequest(tx_bytes=RAW))).gas_info.gas_used == 77
    assert fake.calls[-1][1]["path"] == SIMULATE_PATH
    fake.answers["abci_query"] = lambda _: {"response": {"code": 2, "log": "tx parse error"}}
    with pytest.raises(Refusal, match="tx parse error"):
        await transactions.simulate(service_pb2.SimulateRequest(tx_bytes=RAW))
    fake.answers["abci_query"] = lambda _: {"response": {"code": 9, "log": absence_log("account a does not exist")}}
    with pytest.raises(Refusal, match=r"^account a does not exist$") as refusal:
        await transactions.simulate(service_pb2.SimulateRequest(tx_bytes=RAW))
    assert refusal.value.http_status == 404
