"""`pivot keys`: against the published accounts, and with every backend's password."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pivot.primitives.keys import PrivateKey
from pivot.protocol.multisig import address_of_multisig, threshold_key
from tests.cli.conftest import Pivot
from tests.vectors import load_vectors

ACCOUNTS: list[dict[str, Any]] = load_vectors("transactions.json")["hd_accounts"]
PASSWORD = "correct horse"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PIVOT_KEYRING_BACKEND", "test")
    monkeypatch.setenv("PIVOT_KEYRING_DIR", str(tmp_path))
    return tmp_path


def kept(home: Path) -> list[Path]:
    return list(home.iterdir())


async def recovered(pivot: Pivot, name: str, place: int = 0) -> PrivateKey:
    account = ACCOUNTS[place]
    told = await pivot("keys", "add", name, "--recover", "--hd-path", account["path"], stdin=account["mnemonic"] + "\n")
    assert told.code == 0, told.err
    return PrivateKey.from_mnemonic(account["mnemonic"], account["path"])


@pytest.mark.parametrize("account", ACCOUNTS, ids=lambda account: account["address"])
async def test_a_mnemonic_gives_the_published_account(account: dict[str, str], pivot: Pivot) -> None:
    index = account["path"].rpartition("/")[2]
    told = await pivot("keys", "add", "mine", "--recover", "--index", index, "--json", stdin=account["mnemonic"])
    assert told.code == 0, told.err
    assert told.json["address"] == account["address"]
    assert told.json["pubkey"] == {"@type": "/cosmos.crypto.secp256k1.PubKey", "key": account["pubkey_base64"]}
    shown = await pivot("keys", "show", "mine", "-a")
    assert shown.out.strip() == account["address"]


async def test_a_new_key_comes_back_from_its_words(pivot: Pivot) -> None:
    made = (await pivot("keys", "add", "new", "--json")).json
    assert len(made["mnemonic"].split()) == 24
    await pivot("keys", "delete", "new", "--yes")
    again = await pivot("keys", "add", "again", "--recover", "--json", stdin=made["mnemonic"])
    assert again.json["address"] == made["address"]
    assert "mnemonic" not in again.json


async def test_people_see_the_words_once_and_a_warning(pivot: Pivot) -> None:
    told = await pivot("keys", "add", "new", "--words", "12")
    assert "mnemonic: " in told.out
    assert "Write these words down" in told.err
    told = await pivot("keys", "add", "quiet", "--no-backup")
    assert "mnemonic" not in told.out
    shown = (await pivot("keys", "show", "quiet", "--json")).json
    assert shown.keys() == {"name", "type", "address", "pubkey"}


async def test_a_mnemonic_alone_is_made_and_kept_nowhere(pivot: Pivot, home: Path) -> None:
    assert len((await pivot("keys", "mnemonic", "--words", "12")).out.split()) == 12
    assert len((await pivot("keys", "mnemonic", "--json")).json["mnemonic"].split()) == 24
    assert not kept(home)
    assert (await pivot("keys", "mnemonic", "--words", "13")).code == 2


async def test_a_dry_run_keeps_nothing(pivot: Pivot, home: Path) -> None:
    told = await pivot("keys", "add", "mine", "--dry-run", "--recover", stdin=ACCOUNTS[0]["mnemonic"])
    assert ACCOUNTS[0]["address"] in told.out
    assert not kept(home)


@pytest.mark.parametrize(
    ("arguments", "stdin", "sentence"),
    [
        (("mine", "--recover"), "abandon " * 12, "checksum"),
        (("mine", "--recover"), "", "nothing was given"),
        (("mine", "--hd-path", "m/x"), "", "no HD path"),
        (("a/b",), "", "no name"),
        (("mine", "--pubkey", "%%%"), "", "neither base64"),
        (("mine", "--pubkey", "{"), "", "not JSON"),
        (("mine", "--pubkey", "AAAA"), "", "33 bytes"),
        (("mine", "--multisig", "nobody"), "", "there is no key nobody"),
    ],
)
async def test_what_makes_no_key_is_told(arguments: tuple[str, ...], stdin: str, sentence: str, pivot: Pivot) -> None:
    told = await pivot("keys", "add", *arguments, stdin=stdin)
    assert told.code == 1
    assert sentence in told.err


async def test_ways_to_make_a_key_exclude_each_other(pivot: Pivot) -> None:
    assert (await pivot("keys", "add", "mine", "--recover", "--pubkey", "AAAA")).code == 2


async def test_keys_are_listed_renamed_and_deleted(pivot: Pivot) -> None:
    assert "There are no keys" in (await pivot("keys", "list")).err
    await recovered(pivot, "alice")
    assert "alice" in (await pivot("keys", "list")).out
    assert (await pivot("keys", "rename", "alice", "anna")).code == 0
    assert (await pivot("keys", "rename", "anna", "alice", "--json")).json["name"] == "alice"
    assert (await pivot("keys", "delete", "alice", stdin="n\n")).code == 1
    assert [each["name"] for each in (await pivot("keys", "list", "--json")).json] == ["alice"]
    assert "alice" in (await pivot("keys", "delete", "alice", stdin="y\n")).err
    assert (await pivot("keys", "list", "--json")).json == []
    await recovered(pivot, "bob")
    assert (await pivot("keys", "delete", "bob", "-y", "--json")).json[0]["name"] == "bob"
    assert (await pivot("keys", "show", "bob")).code == 1


async def test_a_key_is_shown_in_several_forms(pivot: Pivot) -> None:
    await recovered(pivot, "alice")
    assert "address: gonka1" in (await pivot("keys", "show", "alice")).out
    assert (await pivot("keys", "show", "alice", "-p")).json["key"] == ACCOUNTS[0]["pubkey_base64"]
    operator = (await pivot("keys", "show", "alice", "-a", "--bech", "val")).out.strip()
    assert operator.startswith("gonkavaloper1")
    forms = (await pivot("keys", "parse", operator, "--json")).json
    assert forms["acc"] == ACCOUNTS[0]["address"]
    assert (await pivot("keys", "parse", forms["bytes"], "--json")).json == forms
    assert "val: gonkavaloper1" in (await pivot("keys", "parse", forms["cons"])).out
    assert (await pivot("keys", "parse", "gonka1nobody")).code == 1
    assert (await pivot("keys", "show", "alice", "--bech", "x")).code == 2


async def test_an_account_of_several_does_not_depend_on_the_order_in_which_they_are_named(pivot: Pivot) -> None:
    keys = [await recovered(pivot, f"key{place}", place) for place in range(3)]
    told = await pivot("keys", "add", "all", "--multisig", "key0,key1,key2", "--multisig-threshold", "2", "--json")
    assert told.json["type"] == "multi"
    other = await pivot(
        "keys", "add", "same", "--multisig", "key2,key0,key1", "--multisig-threshold", "2", "--dry-run", "--json"
    )
    assert other.json["address"] == told.json["address"]
    unsorted = await pivot(
        "keys", "add", "row", "--multisig", "key1,key0,key2", "--multisig-threshold", "2", "--nosort", "--json"
    )
    in_row = threshold_key([keys[1].public_key, keys[0].public_key, keys[2].public_key], 2)
    assert unsorted.json["address"] == address_of_multisig(in_row)
    assert "pubkey: {" in (await pivot("keys", "show", "all")).out
    refused = await pivot("keys", "add", "no", "--multisig", "key0,key1", "--multisig-threshold", "3")
    assert (refused.code, "3 of 2" in refused.err) == (1, True)
    assert "several keys" in (await pivot("keys", "add", "no", "--multisig", "key0,all")).err
    taken = await pivot("keys", "add", "bob", "--pubkey", ACCOUNTS[3]["pubkey_base64"], "--json")
    assert (taken.json["type"], taken.json["address"]) == ("offline", ACCOUNTS[3]["address"])
    document = '{"@type": "/cosmos.crypto.secp256k1.PubKey", "key": "' + ACCOUNTS[4]["pubkey_base64"] + '"}'
    assert (await pivot("keys", "add", "eve", "--pubkey", document)).code == 0


async def test_an_exported_key_is_imported_again(pivot: Pivot, tmp_path: Path) -> None:
    key = await recovered(pivot, "alice")
    exported = await pivot("keys", "export", "alice", stdin=f"{PASSWORD}\n")
    assert exported.out.startswith("-----BEGIN TENDERMINT PRIVATE KEY-----")
    (tmp_path / "alice.asc").write_text(exported.out)
    await pivot("keys", "delete", "alice", "--yes")
    wrong = await pivot("keys", "import", "alice", str(tmp_path / "alice.asc"), stdin="wrong horse\n")
    assert (wrong.code, "password" in wrong.err) == (1, True)
    again = await pivot("keys", "import", "alice", str(tmp_path / "alice.asc"), "--json", stdin=f"{PASSWORD}\n")
    assert again.json["address"] == key.address
    assert (await pivot("keys", "import", "bob", str(tmp_path / "nothing"))).code == 1
    assert "at least 8" in (await pivot("keys", "export", "alice", stdin="short\n")).err


async def test_a_bare_secret_needs_two_words_more(pivot: Pivot) -> None:
    key = await recovered(pivot, "alice")
    assert (await pivot("keys", "export", "alice", "--unarmored-hex")).code == 2
    bare = await pivot("keys", "export", "alice", "--unarmored-hex", "--unsafe", "--json")
    assert bare.json == {"secret_hex": key.secret_hex}
    await pivot("keys", "delete", "alice", "--yes")
    again = await pivot("keys", "import-hex", "alice", "--json", stdin=key.secret_hex)
    assert again.json["address"] == key.address
    for wrong in ("00" * 32, "abc"):
        assert (await pivot("keys", "import-hex", "bob", stdin=wrong)).code == 1


async def test_the_file_backend_asks_for_its_password(pivot: Pivot, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PIVOT_KEYRING_BACKEND")
    stdin = f"{ACCOUNTS[0]['mnemonic']}\n{PASSWORD}\n"
    assert (await pivot("keys", "add", "alice", "--recover", stdin=stdin)).code == 0
    monkeypatch.setenv("PIVOT_KEYRING_PASSWORD", "wrong horse")
    options = ("--unarmored-hex", "--unsafe")
    assert (await pivot("keys", "export", "alice", *options)).code == 1
    monkeypatch.setenv("PIVOT_KEYRING_PASSWORD", PASSWORD)
    assert (await pivot("keys", "export", "alice", *options)).code == 0
    assert (await pivot("keys", "list", "--keyring-backend", "nonesuch")).code == 1


async def test_a_password_is_asked_for_at_the_terminal(pivot: Pivot, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = iter([PASSWORD, PASSWORD, PASSWORD, "short"])
    monkeypatch.setattr("pivot.cli.keyrings.getpass.getpass", lambda *_: next(answers))
    assert (await pivot("keys", "add", "alice", "--keyring-backend", "file", terminal=True)).code == 0
    told = await pivot("keys", "export", "alice", "--keyring-backend", "file", terminal=True)
    assert (told.code, told.out) == (1, "")
    assert "at least 8" in told.err


async def test_a_new_password_is_written_twice(pivot: Pivot, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = iter([PASSWORD, "another horse"])
    monkeypatch.setattr("pivot.cli.keyrings.getpass.getpass", lambda *_: next(answers))
    told = await pivot("keys", "add", "alice", "--keyring-backend", "file", terminal=True)
    assert told.code == 1
    assert "not the same" in told.err
