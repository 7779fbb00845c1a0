"""The first hosts agree on a genesis; who forges a part of it is found out."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from pivot.node.addresses import HostPort
from pivot.node.ceremony.collection import collect, read_gentxs
from pivot.node.ceremony.draft import (
    COMMUNITY_POOL,
    TOTAL_SUPPLY,
    add_account,
    new_genesis,
    read_genesis,
    write_genesis,
)
from pivot.node.ceremony.errors import CeremonyError
from pivot.node.ceremony.gentx import Gentx
from pivot.node.ceremony.installation import Installation, install
from pivot.node.engine_home import EngineHome
from pivot.node.errors import SeedRefused, TwoConsensusKeys
from pivot.node.genesis import check_genesis, genesis_sha256
from pivot.primitives.keys import PrivateKey

CHAIN_ID = "pivot-ceremony-1"
TIME = "2026-01-01T00:00:00Z"
ALICE, BOB, CAROL = (PrivateKey(bytes([number]) * 32) for number in (1, 2, 3))
NODE_ID = "ab" * 20


def draft() -> dict[str, Any]:
    return new_genesis(CHAIN_ID, "test", {"org/model": 1024}, TIME)


def gentx(key: PrivateKey, number: int, chain_id: str = CHAIN_ID) -> Gentx:
    url = f"http://host{number}.example:9000/"
    return Gentx.signed(key, chain_id, url, bytes([number]) * 32, f"{NODE_ID}@host{number}.example:26656")


def ready() -> dict[str, Any]:
    document = draft()
    collect(document, [gentx(ALICE, 1), gentx(BOB, 2)])
    return document


def accept(document: dict[str, Any]) -> None:
    check_genesis(document, CHAIN_ID, None, "genesis")


def test_a_collected_genesis_is_taken_by_the_application() -> None:
    document = ready()
    accept(document)
    listed = document["app_state"]["inference"]["participants"]
    assert [entry["participant"]["address"] for entry in listed] == sorted([ALICE.address, BOB.address])
    assert all(entry["weight"] == "1" for entry in listed)
    assert [validator["power"] for validator in document["validators"]] == ["1", "1"]


def test_the_order_of_the_parts_does_not_change_the_hash() -> None:
    other = draft()
    collect(other, [gentx(BOB, 2), gentx(ALICE, 1)])
    assert genesis_sha256(other) == genesis_sha256(ready())


def test_collecting_again_replaces_what_was_collected() -> None:
    document = ready()
    collect(document, [gentx(CAROL, 3)], weight=7)
    [entry] = document["app_state"]["inference"]["participants"]
    assert (entry["participant"]["address"], entry["weight"]) == (CAROL.address, "7")
    accept(document)


def test_a_genesis_without_hosts_is_refused() -> None:
    with pytest.raises(SeedRefused, match="nobody could sign"):
        accept(draft())


def test_coins_come_out_of_the_community_pool_and_the_supply_stays() -> None:
    document = ready()
    add_account(document, ALICE.address, 1000, ALICE.public_key)
    add_account(document, BOB.address, 5)
    held = {entry["address"]: int(entry["coins"][0]["amount"]) for entry in document["app_state"]["bank"]["balances"]}
    assert (held[ALICE.address], held[BOB.address]) == (1000, 5)
    assert sum(held.values()) == TOTAL_SUPPLY
    accept(document)


@pytest.mark.parametrize("amount", [0, TOTAL_SUPPLY])
def test_more_than_the_pool_has_cannot_be_given(amount: int) -> None:
    with pytest.raises(CeremonyError, match="cannot be given"):
        add_account(draft(), ALICE.address, amount)


def test_an_account_gets_coins_once_and_with_its_own_key() -> None:
    document = draft()
    add_account(document, ALICE.address, 1)
    for address, key, sentence in (
        (ALICE.address, b"", "has coins already"),
        (COMMUNITY_POOL, b"", "has coins already"),
        (BOB.address, ALICE.public_key, "not that of"),
        ("gonka1nobody", b"", "gonka1nobody"),
    ):
        with pytest.raises(CeremonyError, match=sentence):
            add_account(document, address, 1, key)


def test_a_draft_needs_a_name_and_a_known_preset() -> None:
    for chain_id, preset in (("", "test"), ("x" * 51, "test"), ("pivot-1", "nonesuch")):
        with pytest.raises(CeremonyError):
            new_genesis(chain_id, preset, {}, TIME)


def test_a_document_is_written_and_read(tmp_path: Path) -> None:
    write_genesis(tmp_path / "genesis.json", ready())
    assert read_genesis(tmp_path / "genesis.json") == ready()
    for text in ("{", "{}", '{"app_state": {"inference": [], "bank": {"balances": []}}}', "[]"):
        (tmp_path / "other.json").write_text(text)
        with pytest.raises(CeremonyError, match=r"other\.json"):
            read_genesis(tmp_path / "other.json")


@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [
        ("url", "http://evil.example:9000", "registration_signature is not one of"),
        ("chain_id", "other-1", "registration_signature is not one of"),
        ("consensus_key", gentx(BOB, 2).consensus_key, "registration_signature is not one of"),
        ("address", BOB.address, "not the key of"),
        ("public_key", gentx(BOB, 2).public_key, "not the key of"),
        ("public_key", "%", "not base64"),
        ("registration_signature", "AAAA", "64"),
        ("consensus_key", "AAAA", "3 bytes, not 32"),
        ("url", "ftp://host1.example", "url"),
        ("peer", "somebody", "peer"),
        ("peer", f"{NODE_ID}@host1.example", "peer"),
        ("weight", 100, "weight"),
    ],
)
def test_a_part_that_was_changed_is_refused(field: str, value: Any, sentence: str) -> None:
    changed = {**gentx(ALICE, 1).model_dump(), field: value}
    with pytest.raises(CeremonyError, match=sentence) as told:
        Gentx.parsed(changed, "gentx-alice.json")
    assert str(told.value).startswith("gentx-alice.json")


def test_a_part_is_signed_for_a_good_url_only() -> None:
    with pytest.raises(CeremonyError, match="http"):
        Gentx.signed(ALICE, CHAIN_ID, "host1.example", bytes(32))


def test_parts_are_read_from_a_folder(tmp_path: Path) -> None:
    with pytest.raises(CeremonyError, match="there is no gentx"):
        read_gentxs(tmp_path)
    for number, key in enumerate((ALICE, BOB), 1):
        (tmp_path / f"gentx-{number}.json").write_text(gentx(key, number).model_dump_json())
    assert {part.address for part in read_gentxs(tmp_path)} == {ALICE.address, BOB.address}
    (tmp_path / "gentx-3.json").write_text("{")
    with pytest.raises(CeremonyError, match=r"gentx-3\.json"):
        read_gentxs(tmp_path)


def test_nobody_takes_anothers_place() -> None:
    for parts, sentence in (
        ([gentx(ALICE, 1, "other-1")], "has signed for the chain"),
        ([gentx(ALICE, 1), gentx(ALICE, 2)], "same address"),
        ([gentx(ALICE, 1), gentx(BOB, 1)], "same consensus_key"),
    ):
        with pytest.raises(CeremonyError, match=sentence):
            collect(draft(), parts)


def settings(home: Path, **changes: Any) -> Installation:
    given = {"peers": [f"{NODE_ID}@host2.example:26656"], "external_address": "tcp://host1.example:5000", **changes}
    return Installation(home, "host1", HostPort("0.0.0.0", 26656), HostPort("127.0.0.1", 26657), **given)


def test_a_node_is_installed_from_the_document(tmp_path: Path) -> None:
    assert install(ready(), settings(tmp_path)) == genesis_sha256(ready())
    engine = EngineHome(tmp_path / "engine")
    config = engine.config()
    assert config["p2p"]["persistent_peers"] == f"{NODE_ID}@host2.example:26656"
    assert config["p2p"]["external_address"] == "tcp://host1.example:5000"
    assert config["p2p"]["pex"]
    assert json.loads(engine.genesis_file.read_text()) == ready()
    node_id, key = engine.node_id(), engine.consensus_key()
    install(ready(), settings(tmp_path, peers=[f"{node_id}@127.0.0.1:1", f"{NODE_ID}@127.0.0.1:2"]))
    assert (engine.node_id(), engine.consensus_key()) == (node_id, key)
    assert engine.config()["p2p"]["persistent_peers"] == f"{NODE_ID}@127.0.0.1:2"
    assert engine.config()["p2p"]["allow_duplicate_ip"]


def test_another_genesis_is_never_overwritten(tmp_path: Path) -> None:
    install(ready(), settings(tmp_path))
    other = copy.deepcopy(ready())
    add_account(other, CAROL.address, 1)
    with pytest.raises(CeremonyError, match="another network"):
        install(other, settings(tmp_path))
    with pytest.raises(SeedRefused):
        install(draft(), settings(tmp_path))


def test_a_node_with_a_signer_has_no_consensus_key_of_its_own(tmp_path: Path) -> None:
    install(ready(), settings(tmp_path, signer="127.0.0.1:26659"))
    engine = EngineHome(tmp_path / "engine")
    assert not engine.consensus_key_file.exists()
    assert engine.config()[""]["priv_validator_laddr"] == "tcp://127.0.0.1:26659"
    engine.make_keys()
    with pytest.raises(TwoConsensusKeys):
        install(ready(), settings(tmp_path, signer="127.0.0.1:26659"))
