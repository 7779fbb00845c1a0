"""Blocks and validators as the Cosmos SDK's tendermint service shows them."""

import base64
from typing import Any

import pytest
from cosmos.base.query.v1beta1.pagination_pb2 import PageRequest
from cosmos.base.tendermint.v1beta1 import query_pb2

from pivot.chain.gateway.blocks import Blocks
from pivot.chain.gateway.engine import Engine
from pivot.chain.gateway.refusals import Refusal
from tests.chain.gateway.conftest import FakeEngine, base64_of

HASH = "AB" * 32
ADDRESS = "CD" * 20
BLOCK: dict[str, Any] = {
    "block_id": {"hash": HASH, "parts": {"total": 1, "hash": HASH}},
    "block": {
        "header": {
            "version": {"block": "11"},
            "chain_id": "chain-1",
            "height": "5",
            "time": "2026-01-02T03:04:05.123456789Z",
            "last_block_id": {"hash": HASH, "parts": {"total": 1, "hash": HASH}},
            "last_commit_hash": HASH,
            "data_hash": HASH,
            "validators_hash": HASH,
            "next_validators_hash": HASH,
            "consensus_hash": HASH,
            "app_hash": HASH,
            "last_results_hash": "",
            "evidence_hash": HASH,
            "proposer_address": ADDRESS,
        },
        "data": {"txs": [base64_of(b"tx")]},
        "evidence": {"evidence": []},
        "last_commit": {
            "height": "4",
            "round": 0,
            "block_id": {"hash": HASH, "parts": {"total": 1, "hash": HASH}},
            "signatures": [
                {
                    "block_id_flag": 2,
                    "validator_address": ADDRESS,
                    "timestamp": "2026-01-02T03:04:05Z",
                    "signature": base64_of(b"s" * 64),
                },
                {"block_id_flag": 1, "validator_address": "", "timestamp": "0001-01-01T00:00:00Z", "signature": None},
            ],
        },
    },
}
STATUS: dict[str, Any] = {
    "node_info": {
        "id": "ab" * 20,
        "listen_addr": "tcp://0.0.0.0:26656",
        "network": "chain-1",
        "version": "0.38.26",
        "channels": "402021",
        "moniker": "host0",
        "protocol_version": {"p2p": "8", "block": "11", "app": "0"},
        "other": {"tx_index": "on", "rpc_address": "tcp://0.0.0.0:26657"},
    },
    "sync_info": {"catching_up": True},
}


async def test_a_block_is_shown_in_both_forms(fake_engine: tuple[FakeEngine, Engine]) -> None:
    fake, engine = fake_engine
    fake.answers["block"] = lambda _: BLOCK
    for answer in (
        await Blocks(engine).block_by_height(query_pb2.GetBlockByHeightRequest(height=5)),
        await Blocks(engine).latest_block(query_pb2.GetLatestBlockRequest()),
    ):
        assert answer.block.header.app_hash == bytes.fromhex(HASH)
        assert answer.block.header.height == 5
        assert list(answer.block.data.txs) == [b"tx"]
        assert answer.block.last_commit.signatures[0].block_id_flag == 2
        assert answer.block_id.part_set_header.total == 1
        assert answer.sdk_block.header.proposer_address.startswith("gonkavalcons1")
    assert fake.calls == [("block", {"height": "5"}), ("block", {})]


async def test_a_block_that_the_engine_does_not_have_is_refused(fake_engine: tuple[FakeEngine, Engine]) -> None:
    fake, engine = fake_engine
    fake.answers["block"] = lambda _: {"block_id": {}, "block": None}
    with pytest.raises(Refusal, match="no block 5"):
        await Blocks(engine).block_by_height(query_pb2.GetBlockByHeightRequest(height=5))


async def test_node_and_sync_state(fake_engine: tuple[FakeEngine, Engine]) -> None:
    fake, engine = fake_engine
    fake.answers["status"] = lambda _: STATUS
    info = await Blocks(engine).node_info(query_pb2.GetNodeInfoRequest())
    assert (info.default_node_info.network, info.application_version.app_name) == ("chain-1", "pivot")
    assert (info.default_node_info.protocol_version.block, info.default_node_info.other.tx_index) == (11, "on")
    assert (await Blocks(engine).syncing(query_pb2.GetSyncingRequest())).syncing is True


async def test_validators_carry_bech32_addresses_and_keys(fake_engine: tuple[FakeEngine, Engine]) -> None:
    fake, engine = fake_engine
    key = {"type": "tendermint/PubKeyEd25519", "value": base64_of(b"k" * 32)}
    one = {"address": ADDRESS, "pub_key": key, "voting_power": "10", "proposer_priority": "-3"}
    fake.answers["validators"] = lambda _: {"block_height": "5", "validators": [one], "total": "1"}
    page = PageRequest(offset=100, limit=50)
    by_height = query_pb2.GetValidatorSetByHeightRequest(height=5, pagination=page)
    answer = await Blocks(engine).validators_by_height(by_height)
    assert answer.validators[0].address.startswith("gonkavalcons1")
    assert answer.validators[0].voting_power == 10
    assert answer.pagination.total == 1
    latest = await Blocks(engine).latest_validators(query_pb2.GetLatestValidatorSetRequest())
    assert latest.validators == answer.validators
    assert fake.calls[0] == ("validators", {"page": "3", "per_page": "50", "height": "5"})


async def test_abci_queries_pass_through_with_their_proof(fake_engine: tuple[FakeEngine, Engine]) -> None:
    fake, engine = fake_engine
    operation = {"type": "ics23:iavl", "key": base64_of(b"k"), "data": base64_of(b"d")}
    told = {
        "code": 0,
        "key": base64_of(b"k"),
        "value": base64_of(b"v"),
        "height": "5",
        "proofOps": {"ops": [operation]},
    }
    fake.answers["abci_query"] = lambda _: {"response": told}
    answer = await Blocks(engine).abci_query(query_pb2.ABCIQueryRequest(path="/store/bank/key", data=b"k", prove=True))
    assert (answer.value, answer.height, answer.proof_ops.ops[0].type) == (b"v", 5, "ics23:iavl")
    assert base64.b64encode(answer.proof_ops.ops[0].data).decode() == base64_of(b"d")


async def test_an_engine_that_is_away_is_told_as_unavailable(fake_engine: tuple[FakeEngine, Engine]) -> None:
    _, engine = fake_engine
    away = Engine(engine._session, "http://127.0.0.1:1/")
    with pytest.raises(Refusal) as refusal:
        await Blocks(away).syncing(query_pb2.GetSyncingRequest())
    assert refusal.value.http_status == 503
