"""Proposals from a file, votes, deposits, and fees that somebody else pays."""

import json
from pathlib import Path
from typing import Any

import pytest

from pivot.primitives.addresses import of_module, operator
from tests.chain.chain import key
from tests.cli.conftest import Pivot
from tests.cli.engine import FakeEngine
from tests.cli.tx.conftest import COINS

ALICE, BOB = key("alice").address, key("bob").address
OFFLINE = ("--generate-only", "--offline")
PROPOSAL = {
    "messages": [],
    "metadata": "",
    "deposit": "2500000ngonka",
    "title": "A word",
    "summary": "What the members think of it.",
}


async def made(ask: Pivot, *arguments: str) -> dict[str, Any]:
    """The only message of the transaction that a command makes."""
    told = await ask("tx", *arguments, *OFFLINE)
    assert told.code == 0, told.err
    [message] = told.json["body"]["messages"]
    return dict(message)


async def test_a_proposal_is_submitted_from_the_published_file(ask: Pivot, tmp_path: Path) -> None:
    kind = "/inference.inference.MsgCreatePartialUpgrade"
    inner = {"@type": kind, "authority": of_module("gov"), "height": "9000", "nodeVersion": "v2"}
    (tmp_path / "proposal.json").write_text(json.dumps({**PROPOSAL, "messages": [inner], "expedited": True}))
    message = await made(ask, "gov", "submit-proposal", str(tmp_path / "proposal.json"), "--from", "alice")
    assert (message["title"], message["proposer"], message["expedited"]) == ("A word", ALICE, True)
    assert message["initial_deposit"] == [{"denom": "ngonka", "amount": "2500000"}]
    assert message["messages"][0]["height"] == "9000"
    sent = await ask("tx", "gov", "submit-proposal", json.dumps(PROPOSAL), "--from", "alice", "--yes", "--json")
    assert sent.code == 0, sent.err
    found = await ask("query", "gov", "proposals", "--json")
    assert [each["title"] for each in found.json["proposals"]] == ["A word"]


@pytest.mark.parametrize("text", ["{", "[]", '{"title": 1}', "none.json", '{"title": "x", "nonesuch": 1}'])
async def test_what_is_no_proposal_is_told(text: str, ask: Pivot) -> None:
    told = await ask("tx", "gov", "submit-proposal", text, "--from", "alice", *OFFLINE)
    assert told.code == 2


async def test_a_proposal_may_be_given_by_its_fields(ask: Pivot) -> None:
    fields = ("--title", "A word", "--summary", "On it", "--initial-deposit", "5ngonka")
    message = await made(ask, "gov", "submit-proposal", *fields, "--from", "alice")
    assert (message["title"], message["initial_deposit"][0]["amount"]) == ("A word", "5")


@pytest.mark.parametrize("word", ["yes", "YES", "VOTE_OPTION_YES", "1"])
async def test_a_vote_is_given_in_any_of_its_words(word: str, ask: Pivot) -> None:
    message = await made(ask, "gov", "vote", "7", word, "--from", "alice")
    assert (message["option"], message["proposal_id"], message["voter"]) == ("VOTE_OPTION_YES", "7", ALICE)


async def test_an_unknown_vote_names_those_that_there_are(ask: Pivot) -> None:
    told = await ask("tx", "gov", "vote", "7", "maybe", "--from", "alice", *OFFLINE)
    assert told.code == 2
    assert "no-with-veto" in told.err


async def test_a_weighted_vote_and_a_deposit(ask: Pivot) -> None:
    options = '[{"option": "VOTE_OPTION_YES", "weight": "0.6"}, {"option": "VOTE_OPTION_NO", "weight": "0.4"}]'
    message = await made(ask, "gov", "weighted-vote", "7", "--options", options, "--from", "alice")
    assert [each["weight"] for each in message["options"]] == ["0.6", "0.4"]
    message = await made(ask, "gov", "deposit", "7", "25_000_000ngonka", "--from", "alice")
    assert message["amount"] == [{"denom": "ngonka", "amount": "25000000"}]


async def test_an_operator_is_named_by_the_key_of_its_account(ask: Pivot) -> None:
    message = await made(ask, "slashing", "unjail", "--from", "alice")
    assert message["validator_addr"] == operator(ALICE)
    told = await ask("query", "staking", "validator", operator(ALICE))
    assert told.code == 1


async def test_fees_are_paid_by_who_has_allowed_it(ask: Pivot, engine: FakeEngine) -> None:
    grant = ("tx", "feegrant", "grant", "bob", "--spend-limit", "500ngonka", "--from", "alice")
    granted = await ask(*grant, "--expiration", "2030-01-31T00:00:00Z", "--yes")
    assert granted.code == 0, granted.err
    found = (await ask("query", "feegrant", "allowance", "alice", "bob", "--json")).json["allowance"]["allowance"]
    assert found["spend_limit"] == [{"denom": "ngonka", "amount": "500"}]
    sent = await ask(
        "tx", "bank", "send", "bob", "carol", "1ngonka", "--fees", "60ngonka", "--fee-granter", "alice", "--yes"
    )
    assert sent.code == 0, sent.err
    assert (engine.chain.balance(ALICE), engine.chain.balance(BOB)) == (COINS - 60, COINS - 1)


async def test_an_allowance_may_be_by_period_and_for_some_messages(ask: Pivot) -> None:
    message = await made(
        ask,
        *("feegrant", "grant-allowance", "bob", "--from", "alice", "--period", "3600", "--period-limit", "5ngonka"),
        *("--allowed-messages", "/cosmos.bank.v1beta1.MsgSend", "--expiration", "1900000000"),
    )
    outer = message["allowance"]
    assert outer["allowed_messages"] == ["/cosmos.bank.v1beta1.MsgSend"]
    assert outer["allowance"]["period"] == "3600s"
    assert outer["allowance"]["basic"]["expiration"] == "2030-03-17T17:46:40Z"
    message = await made(ask, "feegrant", "grant", "bob", "--from", "alice")
    assert message["allowance"]["expiration"] is None
    allowance = '{"@type": "/cosmos.feegrant.v1beta1.BasicAllowance"}'
    message = await made(ask, "feegrant", "grant", "bob", "--allowance", allowance, "--from", "alice")
    assert message["allowance"]["spend_limit"] == []


async def test_decimals_in_json_have_their_point(ask: Pivot) -> None:
    rules = (await ask("query", "slashing", "params", "--json")).json["params"]
    assert rules["min_signed_per_window"] == "0.500000000000000000"
    changed = json.dumps({**rules, "min_signed_per_window": "0.25"})
    message = await made(ask, "slashing", "update-params", "--params", changed, "--from", of_module("gov"))
    assert message["params"]["min_signed_per_window"] == "0.250000000000000000"
