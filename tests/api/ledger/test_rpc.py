"""The engine's RPC: answers, refusals, and an engine that is not there."""

import base64
from typing import Any

import aiohttp
import pytest

from pivot.api.ledger.interface import ChainRefused, ChainUnavailable
from pivot.api.ledger.rpc import MEMPOOL_FULL, MEMPOOL_OTHER, MEMPOOL_TOO_LARGE, Inclusion, Rpc, Verdict
from tests.api.ledger.engine import CHAIN_ID, EngineError, FakeEngine


def refuse(sentence: str) -> Any:
    def answer(_: dict[str, Any]) -> Any:
        raise EngineError(sentence)

    return answer


async def test_status_says_who_the_node_is_and_where_it_stands(http: aiohttp.ClientSession, engine: FakeEngine) -> None:
    engine.height, engine.catching_up = 7, True
    status = await Rpc(http, engine.url + "/").status()
    assert (status.chain_id, status.head.height, status.synced) == (CHAIN_ID, 7, False)
    assert base64.b64decode(status.consensus_key) == b"k" * 32


async def test_all_pages_of_the_validators_are_fetched_from_one_height(
    http: aiohttp.ClientSession, engine: FakeEngine
) -> None:
    everyone = [{"address": str(number)} for number in range(230)]
    pages: list[tuple[Any, ...]] = []

    def validators(parameters: dict[str, str]) -> dict[str, Any]:
        pages.append((parameters.get("height"), parameters["page"]))
        start = 100 * (int(parameters["page"]) - 1)
        return {"block_height": "9", "validators": everyone[start : start + 100], "total": "230"}

    engine.answers["validators"] = validators
    assert await Rpc(http, engine.url).validators() == everyone
    assert pages == [(None, "1"), ("9", "2"), ("9", "3")]


async def test_blocks_and_commits_are_asked_for_by_height(http: aiohttp.ClientSession, engine: FakeEngine) -> None:
    engine.answers["block"] = lambda parameters: {"block": parameters}
    engine.answers["commit"] = lambda parameters: {"signed_header": parameters}
    rpc = Rpc(http, engine.url)
    assert await rpc.block() == {"block": {}}
    assert await rpc.block(4) == {"block": {"height": "4"}}
    assert await rpc.commit(5) == {"signed_header": {"height": "5"}}


async def test_an_application_query_can_be_proved_and_refused(http: aiohttp.ClientSession, engine: FakeEngine) -> None:
    asked: list[dict[str, Any]] = []

    def query(parameters: dict[str, Any]) -> dict[str, Any]:
        asked.append(parameters)
        refused = {"code": 38, "codespace": "sdk", "log": "no such row"}
        return {"response": refused if parameters["height"] == "1" else {"code": 0, "value": "dg=="}}

    engine.answers["abci_query"] = query
    rpc = Rpc(http, engine.url)
    assert (await rpc.abci_query("/store/acc/key", b"\1", prove=True))["value"] == "dg=="
    assert asked[0] == {"path": "/store/acc/key", "data": "01", "height": "0", "prove": True}
    with pytest.raises(ChainRefused, match="no such row") as refusal:
        await rpc.abci_query("/store/acc/key", b"\1", height=1)
    assert (refusal.value.code, refusal.value.codespace, refusal.value.not_found) == (38, "sdk", False)


async def test_a_broadcast_returns_what_check_tx_says(http: aiohttp.ClientSession, engine: FakeEngine) -> None:
    engine.answers["broadcast_tx_sync"] = lambda parameters: {
        "code": len(base64.b64decode(parameters["tx"])) - 1,
        "codespace": "sdk",
        "log": "no",
    }
    rpc = Rpc(http, engine.url)
    assert await rpc.broadcast(b"a") == Verdict(0, "sdk", "no")
    assert await rpc.broadcast(b"abcde") == Verdict(4, "sdk", "no")


@pytest.mark.parametrize(
    ("sentence", "code"),
    [
        ("tx already exists in cache", 0),
        ("mempool is full: number of txs 5000 (max: 5000)", MEMPOOL_FULL),
        ("Tx too large. Max size is 1048576, but got 2000000", MEMPOOL_TOO_LARGE),
        ("error reading request body: http: request body too large", MEMPOOL_TOO_LARGE),
        ("something else", MEMPOOL_OTHER),
    ],
)
async def test_the_mempools_own_refusals_get_codes(
    http: aiohttp.ClientSession, engine: FakeEngine, sentence: str, code: int
) -> None:
    engine.answers["broadcast_tx_sync"] = refuse(sentence)
    assert (await Rpc(http, engine.url).broadcast(b"a")).code == code


async def test_a_transaction_is_found_once_it_is_in_a_block(http: aiohttp.ClientSession, engine: FakeEngine) -> None:
    rpc = Rpc(http, engine.url)
    engine.answers["tx"] = refuse("tx (AB) not found")
    assert await rpc.transaction("ab") is None
    engine.answers["tx"] = lambda parameters: {
        "height": "12",
        "tx_result": {"code": 0, "data": base64.b64encode(base64.b64decode(parameters["hash"])).decode(), "log": ""},
    }
    assert await rpc.transaction("ab") == Inclusion(12, Verdict(0), b"\xab")
    engine.answers["tx"] = lambda _: {
        "height": "13",
        "tx_result": {"code": 5, "codespace": "sdk", "log": "poor", "data": None},
    }
    assert await rpc.transaction("ab") == Inclusion(13, Verdict(5, "sdk", "poor"), b"")
    engine.answers["tx"] = refuse("transaction indexing is disabled")
    with pytest.raises(ChainRefused, match="indexing is disabled"):
        await rpc.transaction("ab")


async def test_an_engine_that_is_away_is_unavailable(http: aiohttp.ClientSession, engine: FakeEngine) -> None:
    url = engine.url
    await engine.stop()
    with pytest.raises(ChainUnavailable, match="does not answer"):
        await Rpc(http, url).status()
    await engine.start()


async def test_something_else_that_answers_is_no_chain_node(http: aiohttp.ClientSession, engine: FakeEngine) -> None:
    with pytest.raises(ChainUnavailable, match="does not answer"):
        await Rpc(http, engine.url + "/elsewhere").status()
