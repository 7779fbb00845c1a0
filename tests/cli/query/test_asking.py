"""Queries from the command line: of the chain's state, and of its engine."""

import pytest

from tests.chain.chain import key
from tests.chain.gateway.conftest import base64_of
from tests.chain.gateway.test_blocks import BLOCK
from tests.cli.conftest import Pivot
from tests.cli.engine import FakeEngine
from tests.cli.tx.conftest import COINS

ALICE, BOB = key("alice").address, key("bob").address


async def test_balances_are_asked_for_by_name_or_address(ask: Pivot) -> None:
    for account in ("alice", ALICE):
        told = await ask("query", "bank", "balances", account, "--json")
        assert told.json["balances"] == [{"denom": "ngonka", "amount": str(COINS)}]
    told = await ask("query", "bank", "balance", "alice", "--json")
    assert told.json["balance"]["amount"] == str(COINS)
    told = await ask("query", "bank", "balance", "alice", "stake", "--json")
    assert told.json["balance"]["amount"] == "0"
    assert f"amount: '{COINS}'" in (await ask("query", "bank", "balances", "alice")).out


async def test_a_page_begins_where_the_last_one_ended(ask: Pivot) -> None:
    first = (await ask("query", "auth", "accounts", "--page-limit", "1", "--count-total", "--json")).json
    assert int(first["pagination"]["total"]) > 1
    key_of_next = first["pagination"]["next_key"]
    second = (await ask("query", "auth", "accounts", "--page-limit", "1", "--page-key", key_of_next, "--json")).json
    offset = (await ask("query", "auth", "accounts", "--page-limit", "1", "--page-offset", "1", "--json")).json
    assert second["accounts"] == offset["accounts"] != first["accounts"]


async def test_what_the_chain_refuses_is_told_with_its_code(ask: Pivot, engine: FakeEngine) -> None:
    told = await ask("query", "inference", "participant", "nobody")
    assert (told.code, "code" in told.err) == (1, True)
    late = await ask("query", "bank", "balances", "alice", "--height", str(engine.chain.height + 7))
    assert (late.code, "is not kept" in late.err) == (1, True)


async def test_wrong_usage_is_told(ask: Pivot) -> None:
    assert (await ask("query", "bank", "balances", "alice", "more")).code == 2
    assert (await ask("query", "inference", "active-participants", "many")).code == 2
    assert (await ask("query", "auth", "accounts", "--page-limit", "9" * 30)).code == 2
    assert (await ask("query", "block", "-5")).code == 2
    assert (await ask("query", "nonesuch")).code == 2
    assert (await ask("query", "bank", "nonesuch")).code == 2


async def test_a_transaction_is_found_by_its_hash_and_by_its_events(ask: Pivot) -> None:
    sent = (await ask("tx", "bank", "send", "alice", BOB, "5ngonka", "--yes", "--json")).json
    for noun in ("tx", "wait-tx"):
        assert (await ask("query", noun, sent["txhash"], "--json")).json["height"] == sent["height"]
    found = await ask("query", "txs", "--query", f"message.sender='{ALICE}'", "--order-by", "desc", "--json")
    assert [each["txhash"] for each in found.json["tx_responses"]] == [sent["txhash"]]
    assert (await ask("query", "tx", "ab" * 32)).code == 1
    assert (await ask("query", "tx", "zz")).code == 1
    assert (await ask("query", "txs", "--query", "nonsense")).code == 1


async def test_the_node_tells_of_itself(ask: Pivot, engine: FakeEngine) -> None:
    told = await ask("query", "status", "--json")
    assert told.json["sync_info"]["latest_block_height"] == str(engine.chain.height)
    wrong = await ask("query", "status", "--node", "127.0.0.1:26657")
    assert (wrong.code, "--node" in wrong.err) == (1, True)


async def test_blocks_and_validators_are_shown(ask: Pivot, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    public_key = {"type": "tendermint/PubKeyEd25519", "value": base64_of(b"k" * 32)}
    one = {"address": "CD" * 20, "pub_key": public_key, "voting_power": "10", "proposer_priority": "-3"}
    validators = {"block_height": "5", "validators": [one], "total": "1"}
    monkeypatch.setattr(engine, "block", lambda **_: BLOCK, raising=False)
    monkeypatch.setattr(engine, "validators", lambda **_: validators, raising=False)
    for height in ((), ("5",)):
        block = (await ask("query", "block", *height, "--json")).json
        assert block["sdk_block"]["header"]["height"] == "5"
        assert "block" not in block
        found = (await ask("query", "validators", *height, "--json")).json
        assert found["validators"][0]["voting_power"] == "10"
