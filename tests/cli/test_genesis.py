"""The ceremony as two hosts and a coordinator type it."""

import json
from pathlib import Path

import pytest

from pivot.chain.store.database import Database
from pivot.chain.types import STORES
from pivot.node.engine_home import EngineHome
from tests.chain.chain import CHAIN_ID as TEST_CHAIN
from tests.chain.chain import Chain, key
from tests.cli.conftest import Pivot

CHAIN_ID = "pivot-ceremony-1"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PIVOT_KEYRING_BACKEND", "test")
    monkeypatch.setenv("PIVOT_HOME", str(tmp_path / "home"))
    return tmp_path


async def drafted(pivot: Pivot) -> None:
    for name in ("alice", "bob"):
        assert (await pivot("keys", "add", name, "--no-backup")).code == 0
    told = await pivot("genesis", "init", CHAIN_ID, "--preset", "test", "--model", "org/model=1024", "--json")
    assert told.code == 0, told.err


async def test_two_hosts_and_a_coordinator_make_a_genesis(pivot: Pivot, folder: Path) -> None:
    await drafted(pivot)
    alice = (await pivot("keys", "show", "alice", "--json")).json
    given = await pivot("genesis", "add-account", "alice", "1_000ngonka", "--pubkey", alice["pubkey"]["key"], "--json")
    assert given.json == {"address": alice["address"], "amount": "1000ngonka"}

    for name in ("alice", "bob"):
        signed = await pivot(
            *("genesis", "gentx", name, "--url", f"http://{name}.example:9000", "--home", str(folder / name)),
            *("--p2p", f"{name}.example:26656"),
        )
        assert signed.code == 0, signed.err
    collected = await pivot("genesis", "collect")
    assert collected.code == 0, collected.err
    assert len(collected.out.splitlines()) == 2

    found = (await pivot("genesis", "validate", "--json")).json
    assert (found["chain_id"], found["validators"], len(found["sha256"]), len(found["state_sha256"])) == (
        CHAIN_ID,
        2,
        64,
        64,
    )
    assert f"sha256: {found['sha256']}" in (await pivot("genesis", "validate")).out
    again = await pivot("genesis", "collect", "--json")
    assert again.json["sha256"] == found["sha256"]

    installed = await pivot("genesis", "install", "--home", str(folder / "alice"), "--moniker", "alice", "--json")
    assert installed.json["sha256"] == found["sha256"]
    peers = EngineHome(folder / "alice" / "engine").config()["p2p"]["persistent_peers"]
    assert peers.endswith("@bob.example:26656")
    assert "," not in peers


async def test_a_host_whose_key_a_signer_holds_names_that_key(pivot: Pivot, folder: Path) -> None:
    await drafted(pivot)
    key = "A" * 43 + "="
    signed = await pivot(
        *("genesis", "gentx", "alice", "--url", "http://a.example", "--consensus-key", key, "--json"),
        *("--output-document", "mine.json"),
    )
    assert signed.json["consensus_key"] == key
    assert json.loads((folder / "mine.json").read_text()) == signed.json
    assert not EngineHome(folder / "home" / "engine").consensus_key_file.exists()


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (("init", CHAIN_ID), 1, "exists already"),
        (("init", CHAIN_ID, "--genesis", "other.json", "--preset", "nonesuch"), 1, "nonesuch"),
        (("init", CHAIN_ID, "--genesis", "other.json", "--model", "m=many"), 2, "--model"),
        (("init", CHAIN_ID, "--genesis", "other.json", "--model", "m=99999999999999999999"), 2, "--model"),
        (("add-account", "alice", "many"), 2, "no amount"),
        (("add-account", "nobody", "1ngonka"), 1, "no key nobody"),
        (("add-account", "alice", "0ngonka"), 1, "cannot be given"),
        (("gentx", "alice", "--url", "nowhere"), 1, "http"),
        (("gentx", "alice", "--url", "http://a.example", "--consensus-key", "%"), 2, "--consensus-key"),
        (("gentx", "alice", "--url", "http://a.example", "--genesis", "none.json"), 1, "none.json"),
        (("collect",), 1, "there is no gentx"),
        (("validate",), 1, "nobody could sign"),
        (("validate", "none.json"), 1, "none.json"),
        (("install", "--peer", ""), 1, "nobody could sign"),
        (("install", "--p2p", "nowhere"), 2, "nowhere"),
    ],
)
async def test_what_is_wrong_is_told(arguments: tuple[str, ...], code: int, sentence: str, pivot: Pivot) -> None:
    await drafted(pivot)
    told = await pivot("genesis", *arguments)
    assert told.code == code
    assert sentence in told.err


async def test_a_nodes_state_is_exported_and_goes_on(pivot: Pivot, folder: Path) -> None:
    with Database.open(folder / "home" / "chain", STORES) as database:
        chain = Chain({key("alice").address: 77}, store=database)
        chain.block()
    shown = await pivot("genesis", "export")
    assert shown.code == 0, shown.err
    written = await pivot("genesis", "export", "--chain-id", "next-1", "--output-document", "next.json")
    assert written.code == 0, written.err
    assert (shown.json["chain_id"], shown.json["initial_height"]) == (TEST_CHAIN, "3")
    found = (await pivot("genesis", "validate", "next.json", "--json")).json
    assert (found["chain_id"], found["initial_height"], found["validators"]) == ("next-1", "3", 0)
    missing = await pivot("genesis", "export", "--home", str(folder / "nowhere"))
    assert missing.code == 1
    (folder / "partial.json").write_text('{"chain_id": "next-1"}')
    lacking = await pivot("genesis", "validate", "partial.json")
    assert (lacking.code, "it lacks app_state" in lacking.err) == (1, True)
