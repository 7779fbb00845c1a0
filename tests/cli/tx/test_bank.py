"""Coins sent from the command line: the whole way from words to a block."""

import json
from pathlib import Path

import pytest

from tests.chain.chain import CHAIN_ID, key
from tests.cli.conftest import Pivot
from tests.cli.engine import FakeEngine
from tests.cli.tx.conftest import COINS

ALICE, BOB, CAROL = (key(name).address for name in ("alice", "bob", "carol"))


@pytest.mark.parametrize(
    "arguments",
    [
        ("alice", BOB, "100ngonka"),
        (BOB, "100ngonka", "--from", "alice"),
        ("bob", "100ngonka", "--from", ALICE),
        ("--from", "alice", "--to-address", "bob", "--amount", "100ngonka"),
        ("bob", "--from", "alice", "--amount", "100ngonka"),
    ],
)
async def test_coins_are_sent_in_each_form(arguments: tuple[str, ...], ask: Pivot, engine: FakeEngine) -> None:
    told = await ask("tx", "bank", "send", *arguments, "--yes", "--json")
    assert told.code == 0, told.err
    assert told.json["code"] == 0
    assert engine.chain.balance(BOB) == COINS + 100


async def test_a_dry_run_sends_nothing(ask: Pivot, engine: FakeEngine) -> None:
    told = await ask("tx", "bank", "send", "alice", BOB, "100ngonka", "--dry-run", "--json")
    assert told.code == 0, told.err
    assert int(told.json["gas_info"]["gas_used"]) > 20_000
    assert engine.chain.balance(BOB) == COINS
    shown = await ask("tx", "bank", "send", "alice", BOB, "100ngonka", "--dry-run")
    assert "transfer" in shown.out


async def test_what_the_chain_refuses_is_told_with_its_code(ask: Pivot) -> None:
    told = await ask("tx", "bank", "send", "alice", BOB, f"{COINS + 1}ngonka", "--yes", "--gas", "100000", "--json")
    assert told.code == 1
    assert told.json["code"] == 5
    assert "insufficient funds (code 5 of sdk)" in told.err


async def test_what_trying_out_shows_is_told_before_anything_is_sent(ask: Pivot, engine: FakeEngine) -> None:
    told = await ask("tx", "bank", "send", "alice", BOB, f"{COINS + 1}ngonka", "--yes")
    assert (told.code, told.out) == (1, "")
    assert "insufficient funds" in told.err
    assert engine.found == {}


async def test_a_field_that_cannot_be_is_refused_without_a_node(pivot: Pivot, home: Path) -> None:
    told = await pivot("tx", "bank", "send", "alice", "gonka1nobody", "1ngonka", "--node", "http://127.0.0.1:1")
    assert told.code == 1
    assert "gonka1nobody" in told.err


async def test_the_chains_own_checks_run_before_a_node_is_asked(pivot: Pivot, home: Path) -> None:
    told = await pivot("tx", "bank", "send", "alice", BOB, "0ngonka", "--node", "http://127.0.0.1:1")
    assert (told.code, "(code 10 of sdk)" in told.err) == (1, True)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("alice", BOB), "--from is missing"),
        (("--from", "alice"), "missing: TO_ADDRESS AMOUNT"),
        (("alice", BOB, "1ngonka", "more", "--from", "alice"), "too many arguments"),
        ((BOB, "hundred", "--from", "alice"), "no amount of a coin"),
        ((BOB, "1ngonka", "--from", "alice", "--gas", "much"), "--gas"),
        ((BOB, "1ngonka", "--from", "alice", "--gas", "-1"), "--gas"),
        ((BOB, "1ngonka", "--from", "alice", "--gas", "9" * 30), "--gas"),
        ((BOB, "1ngonka", "--from", "alice", "--timeout-height", "9" * 30), "--timeout-height"),
        ((BOB, "1ngonka", "--from", "alice", "--sequence", "-1"), "--sequence"),
        ((BOB, "1ngonka", "--from", "alice", "--fees", "much"), "no amount of a coin"),
        ((BOB, "1ngonka", "--from", "alice", "--gas-prices", "0.1", "--gas", "1"), "--gas-prices"),
        ((BOB, "1ngonka", "--from", "alice", "--fees", "1ngonka", "--gas-prices", "1ngonka"), "exclude"),
        ((BOB, "1ngonka", "--from", "alice", "--sign-mode", "textual"), "--sign-mode"),
        ((BOB, "1ngonka", "--from", "alice", "--dry-run", "--offline"), "--dry-run"),
        ((BOB, "1ngonka", "--from", "alice", "--dry-run", "--generate-only"), "--dry-run"),
        ((BOB, "1ngonka", "--from", "alice", "--offline"), "--offline needs"),
        ((BOB, "1ngonka", "--from", "alice", "--yes", "-b", "never"), "--broadcast-mode"),
    ],
)
async def test_wrong_usage_ends_with_2_and_a_sentence(arguments: tuple[str, ...], sentence: str, ask: Pivot) -> None:
    told = await ask("tx", "bank", "send", *arguments)
    assert told.code == 2
    assert sentence in " ".join(told.err.split())


async def test_without_an_answer_nothing_is_sent(ask: Pivot, engine: FakeEngine) -> None:
    told = await ask("tx", "bank", "send", "alice", BOB, "100ngonka", stdin="")
    assert told.code == 1
    assert "MsgSend" in told.err
    assert engine.chain.balance(BOB) == COINS


async def test_an_unknown_key_is_told(ask: Pivot) -> None:
    told = await ask("tx", "bank", "send", "nobody", BOB, "100ngonka")
    assert told.code == 1
    assert "there is no key nobody" in told.err


async def test_a_node_that_does_not_answer_is_told(pivot: Pivot, home: Path) -> None:
    told = await pivot("tx", "bank", "send", "alice", BOB, "1ngonka", "--node", "tcp://127.0.0.1:1")
    assert (told.code, told.out) == (1, "")
    assert "http://127.0.0.1:1 does not answer" in told.err


async def test_a_node_of_another_chain_is_refused(ask: Pivot) -> None:
    told = await ask("tx", "bank", "send", "alice", BOB, "1ngonka", "--yes", "--chain-id", "other-1")
    assert told.code == 1
    assert f"the node is on the chain {CHAIN_ID}, not on other-1" in told.err


@pytest.mark.parametrize("mode", ["direct", "amino-json"])
async def test_a_transaction_may_be_made_signed_and_sent_in_three_steps(
    mode: str, ask: Pivot, engine: FakeEngine, tmp_path: Path
) -> None:
    made = await ask("tx", "bank", "send", ALICE, BOB, "7ngonka", "--generate-only", "--note", "three <steps>")
    assert made.code == 0, made.err
    assert made.json["signatures"] == []
    (tmp_path / "made.json").write_text(made.out)
    signed = await ask("tx", "sign", str(tmp_path / "made.json"), "--from", "alice", "--sign-mode", mode)
    assert signed.code == 0, signed.err
    (tmp_path / "signed.json").write_text(signed.out)
    bytes_of = await ask("tx", "encode", str(tmp_path / "signed.json"))
    shown = await ask("tx", "decode", bytes_of.out.strip(), "--json")
    assert shown.json == signed.json
    sent = await ask("tx", "broadcast", str(tmp_path / "signed.json"), "--yes", "--json")
    assert sent.code == 0, sent.err
    assert engine.chain.balance(BOB) == COINS + 7
    found = await ask("query", "tx", sent.json["txhash"], "--json")
    assert found.json["tx"]["body"]["memo"] == "three <steps>"


async def test_an_offline_signature_needs_no_node(ask: Pivot, pivot: Pivot, engine: FakeEngine, tmp_path: Path) -> None:
    account = engine.chain.account(ALICE)
    assert account is not None
    options = ("--offline", "--chain-id", CHAIN_ID, "--account-number", str(account.number), "--sequence", "0")
    made = await pivot("tx", "bank", "send", "alice", BOB, "9ngonka", *options, "--node", "http://127.0.0.1:1")
    assert made.code == 0, made.err
    (tmp_path / "signed.json").write_text(made.out)
    sent = await ask("tx", "broadcast", str(tmp_path / "signed.json"), "--yes")
    assert sent.code == 0, sent.err
    assert engine.chain.balance(BOB) == COINS + 9


async def test_what_the_chain_would_tell_may_be_given(ask: Pivot, engine: FakeEngine) -> None:
    account = engine.chain.account(ALICE)
    assert account is not None
    number = ("--account-number", str(account.number))
    told = await ask("tx", "bank", "send", "alice", BOB, "3ngonka", *number, "--sequence", "0", "--yes")
    assert told.code == 0, told.err
    told = await ask("tx", "bank", "send", "alice", BOB, "3ngonka", *number, "--yes")
    assert told.code == 0, told.err
    told = await ask("tx", "bank", "send", "alice", BOB, "3ngonka", "--sequence", "7", "--yes")
    assert (told.code, "(code 32 of sdk)" in told.err) == (1, True)
    assert engine.chain.balance(BOB) == COINS + 6


async def test_an_unordered_transaction_needs_the_direct_mode(ask: Pivot) -> None:
    send = ("tx", "bank", "send", "alice", BOB, "3ngonka", "--gas", "90000", "--unordered", "--yes")
    told = await ask(*send, "--sign-mode", "amino-json")
    assert (told.code, "SIGN_MODE_DIRECT" in told.err) == (1, True)


async def test_an_account_whose_key_is_elsewhere_may_be_tried_out(ask: Pivot) -> None:
    await ask("keys", "delete", "alice", "--yes")
    told = await ask("tx", "bank", "send", ALICE, BOB, "3ngonka", "--dry-run", "--json")
    assert told.code == 0, told.err
    told = await ask("tx", "bank", "send", ALICE, BOB, "3ngonka", "--yes")
    assert (told.code, "there is no key" in told.err) == (1, True)


async def test_an_unordered_transaction_uses_no_sequence(
    ask: Pivot, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pivot.cli.tx.draft.time.time_ns", lambda: engine.chain.time)
    told = await ask("tx", "bank", "send", "alice", BOB, "3ngonka", "--unordered", "--yes", "-b", "sync", "--json")
    assert told.code == 0, told.err
    account = engine.chain.account(ALICE)
    assert account is not None
    assert account.sequence == 0
    assert engine.chain.balance(BOB) == COINS + 3


async def test_fees_are_taken_as_given_or_by_price(ask: Pivot, engine: FakeEngine) -> None:
    assert (await ask("tx", "bank", "send", "alice", BOB, "1ngonka", "--yes", "--fees", "50ngonka")).code == 0
    assert engine.chain.balance(ALICE) == COINS - 51
    options = ("--gas", "100_000", "--gas-prices", "0.001ngonka")
    assert (await ask("tx", "bank", "send", "carol", BOB, "1ngonka", "--yes", *options)).code == 0
    assert engine.chain.balance(CAROL) == COINS - 101


async def test_many_receivers_get_the_same(ask: Pivot, engine: FakeEngine) -> None:
    told = await ask("tx", "bank", "multi-send", "bob", CAROL, "10ngonka", "--from", "alice", "--yes")
    assert told.code == 0, told.err
    assert [engine.chain.balance(each) for each in (ALICE, BOB, CAROL)] == [COINS - 20, COINS + 10, COINS + 10]
    fields = {
        "inputs": [{"address": ALICE, "coins": [{"denom": "ngonka", "amount": "5"}]}],
        "outputs": [{"address": BOB, "coins": [{"denom": "ngonka", "amount": "5"}]}],
    }
    options = [text for name, value in fields.items() for text in (f"--{name}", json.dumps(value))]
    told = await ask("tx", "bank", "multi-send", "--from", "alice", *options, "--yes")
    assert told.code == 0, told.err
    assert engine.chain.balance(BOB) == COINS + 15
