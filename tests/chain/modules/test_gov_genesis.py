"""Governance in a genesis, and what must always hold."""

import copy
from typing import Any

import cosmpy.protos  # noqa: F401
import pytest
from cosmos.gov.v1 import query_pb2 as q
from cosmos.gov.v1.gov_pb2 import Deposit, Proposal, Vote
from google.protobuf import json_format

from pivot.chain.modules.bank.state import put_genesis_balance
from pivot.chain.modules.gov import deposits, genesis, state
from pivot.chain.modules.gov.authority import AUTHORITY
from pivot.chain.modules.gov.invariants import check_deposits, check_proposals
from pivot.protocol.governance import InvalidGovernance, gov_params
from tests.chain.chain import plain_block
from tests.chain.modules.governance import (
    DEPOSIT,
    SERVICE,
    VOTING_SECONDS,
    YES,
    Parliament,
    address,
    coins,
)


def exported(monkeypatch: pytest.MonkeyPatch) -> tuple[Parliament, dict[str, Any]]:
    """A chain with proposals in every state, one of them half cleared, and its section."""
    monkeypatch.setattr(deposits, "CLEARED_PER_BLOCK", 1)
    chain = Parliament()
    over = chain.propose()
    chain.put_down(over, "dave", DEPOSIT)
    chain.vote(over, YES, "alice", "bob")
    chain.later(VOTING_SECONDS)
    chain.propose(deposit=DEPOSIT // 10)
    chain.vote(chain.propose(), YES, "carol")
    return chain, genesis.export(chain.state)


def test_an_export_is_loaded_as_the_same_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    chain, document = exported(monkeypatch)
    block = plain_block()
    put_genesis_balance(block.state, AUTHORITY, chain.held)
    genesis.load(block, copy.deepcopy(document))
    before = [row for row in chain.state.iterate("gov") if row[0] != state.PARAMS_KEY]
    after = [row for row in block.state.iterate("gov") if row[0] != state.PARAMS_KEY]
    assert before == after
    assert genesis.export(block.state) == document
    check_deposits(block.state)
    check_proposals(block.state)


def test_a_genesis_may_name_its_rules_and_its_constitution() -> None:
    rules = gov_params("devnet")
    block = plain_block()
    genesis.load(
        block,
        {
            "constitution": "We the hosts",
            "params": json_format.MessageToDict(rules, preserving_proto_field_name=True),
        },
    )
    assert (state.params(block.state), state.constitution(block.state)) == (rules, "We the hosts")
    assert state.next_id(block.state) == 1
    genesis.load(plain := plain_block(), {})
    assert state.params(plain.state) == gov_params("mainnet")


def test_a_genesis_whose_deposits_nobody_holds_is_refused() -> None:
    entry = {"proposal_id": "1", "depositor": address("dave"), "amount": [{"denom": "ngonka", "amount": "5"}]}
    with pytest.raises(ValueError, match="deposits of 5"):
        genesis.load(plain_block(), {"deposits": [entry]})


def test_a_genesis_with_rules_that_would_end_governance_is_refused() -> None:
    rules = gov_params("mainnet")
    rules.quorum = "1"
    with pytest.raises(InvalidGovernance, match="quorum"):
        genesis.load(plain_block(), {"params": json_format.MessageToDict(rules)})


def test_deposits_that_the_account_does_not_hold_are_found() -> None:
    block = plain_block()
    state.put_deposit(block.state, Deposit(proposal_id=1, depositor=address("dave"), amount=coins(5)))
    with pytest.raises(AssertionError, match="add up to 5"):
        check_deposits(block.state)


def test_a_proposal_that_never_ends_is_found() -> None:
    block = plain_block()
    state.put_proposal(block.state, Proposal(id=1, status=2))
    with pytest.raises(AssertionError, match="ends of"):
        check_proposals(block.state)


def test_a_vote_on_what_is_over_is_found() -> None:
    block = plain_block()
    state.put_vote(block.state, Vote(proposal_id=1, voter=address("dave")))
    with pytest.raises(AssertionError, match="which are over"):
        check_proposals(block.state)


def test_an_id_that_will_be_given_again_is_found() -> None:
    block = plain_block()
    state.put_proposal(block.state, Proposal(id=1, status=3))
    with pytest.raises(AssertionError, match="the next one is 1"):
        check_proposals(block.state)


def test_the_constitution_is_told() -> None:
    chain = Parliament()
    assert chain.query(f"{SERVICE}/Constitution", q.QueryConstitutionRequest()).constitution == ""
