"""An account that several keys hold, and transactions that several accounts sign."""

from pathlib import Path

import pytest

from tests.chain.chain import key
from tests.cli.conftest import Pivot
from tests.cli.engine import FakeEngine
from tests.cli.tx.conftest import COINS

ALICE, BOB = key("alice").address, key("bob").address


@pytest.fixture
async def board(ask: Pivot) -> str:
    """An account of alice, bob and carol, of whom two sign; it has coins."""
    made = await ask("keys", "add", "board", "--multisig", "alice,bob,carol", "--multisig-threshold", "2", "--json")
    sent = await ask("tx", "bank", "send", "alice", "board", "1000ngonka", "--yes")
    assert sent.code == 0, sent.err
    return str(made.json["address"])


async def written(ask: Pivot, file: Path, *arguments: str) -> str:
    told = await ask(*arguments, "--output-document", str(file))
    assert told.code == 0, told.err
    return str(file)


@pytest.mark.parametrize("signers", [("alice", "carol"), ("carol", "bob"), ("bob", "alice", "carol")])
async def test_enough_members_sign_for_the_account(
    signers: tuple[str, ...], board: str, ask: Pivot, engine: FakeEngine, tmp_path: Path
) -> None:
    made = ("tx", "bank", "send", board, BOB, "400ngonka", "--generate-only")
    unsigned = await written(ask, tmp_path / "tx.json", *made)
    parts = [
        await written(ask, tmp_path / f"{name}.json", "tx", "sign", unsigned, "--from", name, "--multisig", "board")
        for name in signers
    ]
    signed = await written(ask, tmp_path / "signed.json", "tx", "multisign", unsigned, "board", *parts)
    sent = await ask("tx", "broadcast", signed, "--yes", "--json")
    assert sent.code == 0, sent.err
    assert engine.chain.balance(BOB) == COINS + 400
    assert engine.chain.balance(board) == 600
    again = await ask("tx", "bank", "send", board, BOB, "1ngonka", "--dry-run")
    assert again.code == 0, again.err


async def test_too_few_or_strange_signatures_are_refused(board: str, ask: Pivot, tmp_path: Path) -> None:
    made = ("tx", "bank", "send", board, BOB, "400ngonka", "--generate-only")
    unsigned = await written(ask, tmp_path / "tx.json", *made)
    sign = ("tx", "sign", unsigned, "--multisig", "board", "--from")
    part = await written(ask, tmp_path / "alice.json", *sign, "alice")
    for files, sentence in (
        ((part,), "2 signatures are needed"),
        ((str(tmp_path / "none.json"),), "cannot be read"),
        ((part, unsigned), "holds no signatures"),
    ):
        told = await ask("tx", "multisign", unsigned, "board", *files)
        assert (told.code, sentence in told.err) == (1, True), told.err
    await ask("keys", "add", "eve", "--no-backup")
    strange = await written(ask, tmp_path / "eve.json", *sign, "eve")
    told = await ask("tx", "multisign", unsigned, "board", part, strange)
    assert (told.code, "not among those of the account" in told.err) == (1, True)
    late = await written(ask, tmp_path / "bob.json", *sign, "bob", "--sequence", "7")
    told = await ask("tx", "multisign", unsigned, "board", part, late)
    assert (told.code, "is not one over this transaction" in told.err) == (1, True)
    other = await written(ask, tmp_path / "other.json", "tx", "bank", "send", ALICE, BOB, "4ngonka", "--generate-only")
    told = await ask("tx", "multisign", other, "board", part)
    assert (told.code, "needs the signature of" in told.err) == (1, True)


async def test_one_may_pay_for_another(ask: Pivot, engine: FakeEngine, tmp_path: Path) -> None:
    made = ("tx", "bank", "send", "alice", BOB, "7ngonka", "--fee-payer", BOB, "--fees", "50ngonka", "--generate-only")
    unsigned = await written(ask, tmp_path / "tx.json", *made)
    sign = ("--sign-mode", "amino-json", "--from")
    first = await written(ask, tmp_path / "first.json", "tx", "sign", unsigned, *sign, "bob")
    half = await ask("tx", "broadcast", first, "--yes")
    assert (half.code, "is not signed by all" in half.err) == (1, True)
    both = await written(ask, tmp_path / "both.json", "tx", "sign", first, *sign, "alice")
    sent = await ask("tx", "broadcast", both, "--yes")
    assert sent.code == 0, sent.err
    assert engine.chain.balance(BOB) == COINS + 7 - 50
