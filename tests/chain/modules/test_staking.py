"""What wallets and explorers ask of a Cosmos chain: validators, and that nobody delegates."""

from typing import Any

import pytest
from cosmos.base.query.v1beta1.pagination_pb2 import PageRequest
from cosmos.crypto.ed25519.keys_pb2 import PubKey
from cosmos.staking.v1beta1 import query_pb2
from tendermint.types.params_pb2 import ConsensusParams

from pivot.chain.errors import Rejection, SdkCode
from pivot.chain.modules.params.state import set_consensus_params
from pivot.chain.modules.slashing.state import Sentence, put_sentence
from pivot.chain.modules.staking import distribution, genesis, inflation
from pivot.chain.modules.staking.queries import QUERIES
from pivot.chain.modules.validators.powers import MAX_VALIDATORS
from pivot.chain.types import View
from pivot.primitives.addresses import operator
from pivot.primitives.fixed_point import ONE
from tests.chain.chain import consensus_key, key, plain_block
from tests.chain.modules.network import Network, node

HOSTS = ("alice", "bob", "carol")
ALICE, BOB, CAROL = (key(name).address for name in HOSTS)
_ANSWERS = {handler.method.name: handler.answer for handler in QUERIES}


@pytest.fixture
def network() -> Network:
    """Bob is jailed."""
    found = Network(hardware={name: [node(0)] for name in HOSTS})
    put_sentence(found.state, BOB, Sentence(10**20 // 10))
    found.advance(3)
    return found


def ask(network: Network, method: str, **fields: Any) -> Any:
    request = getattr(query_pb2, f"Query{method}Request")(**fields)
    return _ANSWERS[method](network.view, request)


def refused(network: Network, code: SdkCode, method: str, **fields: Any) -> None:
    with pytest.raises(Rejection) as refusal:
        ask(network, method, **fields)
    assert refusal.value.code == code


def test_members_are_validators_and_their_power_stands_for_tokens(network: Network) -> None:
    found = ask(network, "Validator", validator_addr=operator(ALICE)).validator
    assert (found.operator_address, found.tokens, found.delegator_shares) == (operator(ALICE), "30", str(30 * ONE))
    assert (found.jailed, found.status, found.description.moniker) == (False, 3, ALICE)
    public_key = PubKey()
    assert found.consensus_pubkey.Unpack(public_key)
    assert public_key.key == consensus_key("alice")


def test_validators_are_listed_by_status(network: Network) -> None:
    def listed(status: str = "") -> dict[str, tuple[str, bool]]:
        answer = ask(network, "Validators", status=status)
        return {each.operator_address: (each.tokens, each.jailed) for each in answer.validators}

    bonded = {operator(ALICE): ("30", False), operator(CAROL): ("10", False)}
    assert listed("BOND_STATUS_BONDED") == bonded
    assert listed("BOND_STATUS_UNBONDED") == {operator(BOB): ("0", True)}
    assert listed() == bonded | {operator(BOB): ("0", True)}
    refused(network, SdkCode.INVALID_REQUEST, "Validators", status="BONDED")


def test_validators_come_in_pages(network: Network) -> None:
    first = ask(network, "Validators", pagination=PageRequest(limit=2))
    rest = ask(network, "Validators", pagination=PageRequest(key=first.pagination.next_key))
    assert len({each.operator_address for each in (*first.validators, *rest.validators)}) == 3


def test_who_is_no_validator_is_not_found(network: Network) -> None:
    refused(network, SdkCode.NOT_FOUND, "Validator", validator_addr=operator(key("stranger").address))
    refused(network, SdkCode.INVALID_ADDRESS, "Validator", validator_addr=ALICE)
    network.register("dave")
    refused(network, SdkCode.NOT_FOUND, "Validator", validator_addr=operator(key("dave").address))


@pytest.mark.parametrize("method", ["ValidatorDelegations", "ValidatorUnbondingDelegations"])
def test_nobody_delegates_to_a_validator(network: Network, method: str) -> None:
    answer = ask(network, method, validator_addr=operator(ALICE))
    assert not answer.ListFields() or [field.name for field, _ in answer.ListFields()] == ["pagination"]
    refused(network, SdkCode.NOT_FOUND, method, validator_addr=operator(key("stranger").address))


@pytest.mark.parametrize(
    "method",
    ["DelegatorDelegations", "DelegatorUnbondingDelegations", "Redelegations", "DelegatorValidators"],
)
def test_wallets_get_empty_lists_and_no_refusal(network: Network, method: str) -> None:
    answer = ask(network, method, delegator_addr=key("wallet").address)
    assert [field.name for field, _ in answer.ListFields()] == ["pagination"]
    refused(network, SdkCode.INVALID_ADDRESS, method, delegator_addr="x")


@pytest.mark.parametrize("method", ["Delegation", "UnbondingDelegation", "DelegatorValidator"])
def test_one_delegation_is_not_found(network: Network, method: str) -> None:
    wallet = key("wallet").address
    refused(network, SdkCode.NOT_FOUND, method, delegator_addr=wallet, validator_addr=operator(ALICE))
    refused(network, SdkCode.INVALID_ADDRESS, method, delegator_addr="x", validator_addr=operator(ALICE))
    refused(network, SdkCode.INVALID_ADDRESS, method, delegator_addr=wallet, validator_addr=ALICE)


def test_wallets_are_told_that_nobody_has_rewards(network: Network) -> None:
    answers = {handler.method.name: handler for handler in distribution.QUERIES}
    wallet = key("wallet").address

    def rewards(method: str, **fields: str) -> Any:
        return answers[method].answer(network.view, answers[method].request(**fields))

    assert not rewards("DelegationTotalRewards", delegator_address=wallet).total
    assert not rewards("DelegatorValidators", delegator_address=wallet).validators
    assert rewards("DelegatorWithdrawAddress", delegator_address=wallet).withdraw_address == wallet
    pair = {"delegator_address": wallet, "validator_address": operator(ALICE)}
    assert not rewards("DelegationRewards", **pair).rewards
    assert not rewards("ValidatorOutstandingRewards", validator_address=operator(ALICE)).rewards.rewards
    assert not rewards("ValidatorCommission", validator_address=operator(ALICE)).commission.commission
    told = rewards("ValidatorDistributionInfo", validator_address=operator(ALICE))
    assert (told.operator_address, len(told.commission)) == (operator(ALICE), 0)
    assert not rewards("ValidatorSlashes", validator_address=operator(ALICE)).slashes
    for method, handler in answers.items():
        with pytest.raises(Rejection) as refusal:
            handler.answer(network.view, handler.request())
        assert refusal.value.code == SdkCode.INVALID_ADDRESS, method
        assert "_address: " in refusal.value.log


def test_explorers_are_told_that_no_coins_are_made(network: Network) -> None:
    for handler in inflation.QUERIES:
        answer = handler.answer(network.view, handler.request())
        assert [value for _, value in answer.ListFields()] == [b"0"]


def test_pool_parameters_and_history(network: Network) -> None:
    pool = ask(network, "Pool").pool
    assert (pool.bonded_tokens, pool.not_bonded_tokens) == ("40", "0")
    engine = ConsensusParams()
    engine.evidence.max_age_duration.seconds = 1_814_400
    set_consensus_params(network.state, engine)
    params = ask(network, "Params").params
    assert (params.bond_denom, params.max_validators, params.unbonding_time.seconds) == (
        "ngonka",
        MAX_VALIDATORS,
        1_814_400,
    )
    refused(network, SdkCode.NOT_FOUND, "HistoricalInfo", height=3)


def test_an_export_loads_into_the_same_rows_and_tells_the_engine_its_set(network: Network) -> None:
    network.register("dave")
    network.declare("dave", node(0))
    network.sprint({"alice": {0: 100}, "dave": {0: 900}})
    network.advance(network.block.height + 5)
    restored = plain_block()
    exported = genesis.export(network.state)
    assert exported["last_total_power"] == str(sum(network.set.values()))
    assert {each["power"] for each in exported["last_validator_powers"]} == {"100", "25"}
    genesis.load(restored, exported)
    assert list(restored.state.iterate("staking")) == list(network.state.iterate("staking"))
    assert {each.public_key: each.power for each in restored.validator_updates} == network.set
    assert restored.validator_updates == sorted(restored.validator_updates, key=lambda each: each.public_key)


def test_an_empty_section_is_taken() -> None:
    block = plain_block()
    genesis.load(block, {})
    assert list(block.state.iterate("staking")) == []
    assert View(block.state, block.chain_id, block.height).height == 1
