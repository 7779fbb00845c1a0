"""What is free, for whom, and how much of it (design, decision 3)."""

import base64

import cosmpy.protos  # noqa: F401
from cosmos.authz.v1beta1.authz_pb2 import GenericAuthorization, Grant
from cosmos.authz.v1beta1.tx_pb2 import MsgExec, MsgGrant
from cosmos.bank.v1beta1.tx_pb2 import MsgSend
from cosmos.base.v1beta1.coin_pb2 import Coin
from cosmos.tx.v1beta1.tx_pb2 import AuthInfo, TxRaw
from tendermint.abci import types_pb2 as abci
from tendermint.types.params_pb2 import BlockParams, ConsensusParams

from pivot.chain.errors import FeegrantCode, SdkCode
from pivot.chain.free_space import FreeSpace
from pivot.chain.modules.bank import quota
from pivot.chain.modules.bank.state import spendable
from pivot.chain.modules.params.state import set_consensus_params
from pivot.chain.types import Block
from pivot.primitives.keys import PrivateKey
from pivot.protocol.generated.inference.inference.genesis_pb2 import GenesisParticipant, GenesisState
from pivot.protocol.generated.inference.inference.params_pb2 import FeeParams
from pivot.protocol.generated.inference.inference.tx_pb2 import (
    MsgSubmitHardwareDiff,
    MsgSubmitNewUnfundedParticipant,
)
from pivot.protocol.generated.inference.inference.types_pb2 import HardwareNode, Participant, ParticipantStatus
from pivot.protocol.messages import pack, type_url
from pivot.protocol.parameters import preset_params
from pivot.protocol.transactions import NANOSECONDS, sign_bytes
from tests.chain.chain import CHAIN_ID, Chain, consensus_key, events_of, key

LARGE, SMALL, STRANGER, WARM = key("large"), key("small"), key("stranger"), key("warm")
PRICE = 10**16
"""1/100 ngonka for a unit of gas."""
COINS = 10**9


def genesis(fees: FeeParams) -> GenesisState:
    """Two hosts, one with nine times the other's weight."""
    params = preset_params("test")
    params.fee_params.CopyFrom(fees)
    return GenesisState(
        params=params,
        participants=[
            GenesisParticipant(
                participant=Participant(
                    address=key(name).address,
                    inference_url=f"http://{name}.example:9000",
                    status=ParticipantStatus.ACTIVE,
                    validator_key=base64.b64encode(consensus_key(name)).decode(),
                ),
                weight=weight,
            )
            for name, weight in (("large", 90), ("small", 10))
        ],
    )


def new_chain(price: int = PRICE, held: int = 0, free: int = 10**9) -> Chain:
    fees = FeeParams(minimum_gas_price_e18=str(price), held_per_gas_e18=str(held), free_block_gas=free)
    return Chain({key(name).address: COINS for name in ("large", "small", "stranger")}, genesis(fees))


def duty(host: PrivateKey, number: int = 1) -> MsgSubmitHardwareDiff:
    return MsgSubmitHardwareDiff(
        creator=host.address, newOrModified=[HardwareNode(local_id=f"node{number}", node_number=number)]
    )


def send(source: PrivateKey, amount: int = 1, target: PrivateKey = STRANGER) -> MsgSend:
    return MsgSend(
        from_address=source.address, to_address=target.address, amount=[Coin(denom="ngonka", amount=str(amount))]
    )


def duties(chain: Chain, host: PrivateKey, count: int) -> list[bytes]:
    return [chain.sign(host, duty(host, i + 1), ahead=i) for i in range(count)]


def gas_of_a_duty(chain: Chain) -> int:
    """Of the costlier one: signatures' and addresses' lengths are the same, numbers below 128, too."""
    return max(chain.check(raw).gas_used for raw in [*duties(chain, LARGE, 2), *duties(chain, SMALL, 2)])


# Duties that cost nothing


def test_d3_duties_of_members_are_free_and_those_of_others_are_not() -> None:
    chain = new_chain()
    assert chain.deliver(LARGE, duty(LARGE)).code == 0
    assert chain.balance(LARGE.address) == COINS
    assert chain.deliver(STRANGER, duty(STRANGER)).code == SdkCode.INSUFFICIENT_FEE


def test_d3_what_is_no_duty_costs_a_member_too_even_beside_a_duty() -> None:
    chain = new_chain()
    assert chain.deliver(LARGE, send(LARGE)).code == SdkCode.INSUFFICIENT_FEE
    assert chain.deliver(LARGE, duty(LARGE), send(LARGE)).code == SdkCode.INSUFFICIENT_FEE


def test_d3_a_grantee_acts_for_free_only_with_the_members_permission() -> None:
    chain = new_chain()
    wrapped = MsgExec(grantee=WARM.address, msgs=[pack(duty(LARGE))])
    for permitted in (MsgSend, MsgSubmitHardwareDiff):
        authorization = pack(GenericAuthorization(msg=type_url(permitted)))
        allowed = MsgGrant(granter=LARGE.address, grantee=WARM.address, grant=Grant(authorization=authorization))
        assert chain.deliver(LARGE, allowed, fee=1_000).code == 0
        result = chain.deliver(WARM, wrapped)
        assert result.code == (0 if permitted is MsgSubmitHardwareDiff else SdkCode.INSUFFICIENT_FEE), result.log


def test_d3_a_stranger_cannot_borrow_a_members_freedom() -> None:
    chain = new_chain()
    wrapped = MsgExec(grantee=STRANGER.address, msgs=[pack(duty(LARGE))])
    assert chain.deliver(STRANGER, wrapped).code == SdkCode.INSUFFICIENT_FEE


# Shares


def test_d3_free_duties_take_a_hosts_share_of_a_block_by_weight() -> None:
    chain = new_chain()
    gas = gas_of_a_duty(chain)
    chain = new_chain(free=10 * gas)
    results = chain.block(*duties(chain, LARGE, 12), *duties(chain, SMALL, 3))
    assert [result.code for result in results[:12]] == [0] * 9 + [SdkCode.INSUFFICIENT_FEE] + [
        SdkCode.WRONG_SEQUENCE
    ] * 2
    assert [result.code for result in results[12:]] == [0, SdkCode.INSUFFICIENT_FEE, SdkCode.WRONG_SEQUENCE]


def test_d3_every_block_has_space_for_one_duty_of_each_host_however_small_it_is() -> None:
    chain = new_chain(free=1)
    for host in (LARGE, SMALL):
        first, second = (result.code for result in chain.block(*duties(chain, host, 2)))
        assert (first, second) == (0, SdkCode.INSUFFICIENT_FEE)
        assert chain.deliver(host, duty(host, 2)).code == 0


def test_d3_who_pays_takes_no_free_space() -> None:
    chain = new_chain(free=1)
    paying = [chain.sign(LARGE, duty(LARGE, i + 1), ahead=i, fee=1_000) for i in range(3)]
    free = chain.sign(LARGE, duty(LARGE, 4), ahead=3)
    assert [result.code for result in chain.block(*paying, free)] == [0] * 4


def test_d3_a_flood_of_free_duties_leaves_space_in_a_proposal_for_the_others() -> None:
    chain = new_chain()
    gas = gas_of_a_duty(chain)
    chain = new_chain(free=10 * gas)
    flood, others = (
        duties(chain, SMALL, 20),
        [*duties(chain, LARGE, 2), chain.sign(STRANGER, send(STRANGER), fee=1_000)],
    )
    request = abci.RequestPrepareProposal(txs=[*flood, *others], max_tx_bytes=10**6)
    chosen = list(chain.application.prepare_proposal(request).txs)
    assert chosen == [flood[0], *others]
    assert proposed(chain, chosen) == abci.ResponseProcessProposal.ACCEPT
    assert [result.code for result in chain.block(*chosen)] == [0] * 4


def test_d3_a_proposal_full_of_one_hosts_free_duties_is_refused() -> None:
    chain = new_chain()
    gas = gas_of_a_duty(chain)
    chain = new_chain(free=10 * gas)
    assert proposed(chain, duties(chain, SMALL, 1)) == abci.ResponseProcessProposal.ACCEPT
    assert proposed(chain, duties(chain, SMALL, 2)) == abci.ResponseProcessProposal.REJECT


def proposed(chain: Chain, transactions: list[bytes]) -> int:
    return int(chain.application.process_proposal(abci.RequestProcessProposal(txs=transactions)).status)


def test_d3_free_duties_are_half_of_a_blocks_gas_at_most() -> None:
    chain = new_chain(free=1_000)
    block = Block(chain.store.begin(), CHAIN_ID, 2, chain.time, b"")
    for most, shares in ((-1, (900, 100)), (4_000, (900, 100)), (1_000, (450, 50))):
        set_consensus_params(block.state, ConsensusParams(block=BlockParams(max_gas=most)))
        space = FreeSpace(block.state, block.time, {})
        assert (space.share(LARGE.address), space.share(SMALL.address)) == shares
        assert space.share(STRANGER.address) == 0


def test_d3_so_many_blocks_of_duties_may_wait() -> None:
    chain = new_chain()
    gas = gas_of_a_duty(chain)
    chain = new_chain(free=10 * gas)
    codes = [chain.check(raw).code for raw in duties(chain, SMALL, 11)]
    assert codes == [0] * 10 + [SdkCode.INSUFFICIENT_FEE]


def test_what_is_refused_takes_no_space() -> None:
    chain = new_chain(free=1)
    late, good = chain.sign(LARGE, duty(LARGE), sequence=9), chain.sign(LARGE, duty(LARGE))
    granted = chain.sign(LARGE, duty(LARGE), fee_granter=SMALL.address)
    codes = [result.code for result in chain.block(late, granted, good)]
    assert codes == [SdkCode.WRONG_SEQUENCE, FeegrantCode.NO_ALLOWANCE, 0]


# Where gas has no price


def held_chain() -> Chain:
    """No price; a unit of gas needs 1 ngonka."""
    return new_chain(price=0, held=10**18)


def test_d3_without_a_price_coins_must_be_held_for_the_gas_of_a_window() -> None:
    chain = held_chain()
    chain.deliver(STRANGER, send(STRANGER, 40_000, WARM))
    codes = [chain.deliver(WARM, send(WARM, 1)).code for _ in range(3)]
    assert codes == [0, SdkCode.INSUFFICIENT_FEE, SdkCode.INSUFFICIENT_FEE]
    refused = chain.deliver(WARM, send(WARM, 1))
    assert "must hold" in refused.log
    assert "within 60 seconds, but holds 39999ngonka" in refused.log
    assert chain.account(WARM.address).sequence == 1
    chain.time += 60 * NANOSECONDS
    assert chain.deliver(WARM, send(WARM, 1)).code == 0


def test_d3_the_same_coins_cannot_stand_behind_the_transactions_of_many_accounts() -> None:
    """One would send all that one has from account to account and never run out."""
    chain = held_chain()
    chain.deliver(STRANGER, send(STRANGER, 50_000, WARM))
    everything = chain.deliver(WARM, send(WARM, 50_000, key("next")))
    assert everything.code == SdkCode.INSUFFICIENT_FUNDS
    rest = spendable(chain.state, WARM.address)
    assert 20_000 < rest < 30_000
    assert f"spendable balance {rest}ngonka" in everything.log
    chain.time += 60 * NANOSECONDS
    chain.block()
    assert spendable(chain.state, WARM.address) == 50_000


def test_d3_who_holds_nothing_sends_nothing() -> None:
    chain = held_chain()
    chain.deliver(STRANGER, send(STRANGER, 1, WARM))
    assert chain.deliver(WARM, send(WARM)).code == SdkCode.INSUFFICIENT_FEE


def test_duties_of_members_need_no_coins_held() -> None:
    chain = held_chain()
    assert chain.deliver(LARGE, duty(LARGE)).code == 0
    assert list(quota.quotas(chain.state)) == []


def registered(chain: Chain, consumer: PrivateKey, by: PrivateKey = LARGE) -> MsgSubmitNewUnfundedParticipant:
    return MsgSubmitNewUnfundedParticipant(
        creator=by.address, address=consumer.address, pub_key=base64.b64encode(consumer.public_key).decode()
    )


def test_d3_accounts_that_a_host_makes_for_others_count_against_its_own_coins() -> None:
    chain = held_chain()
    assert chain.deliver(LARGE, registered(chain, WARM)).code == 0
    assert quota.maker(chain.state, WARM.address) == LARGE.address
    before = quota.held(chain.state, LARGE.address)
    grant = Grant(authorization=pack(GenericAuthorization(msg="/x")))
    allowed = MsgGrant(granter=WARM.address, grantee=key("next").address, grant=grant)
    result = chain.deliver(WARM, allowed)
    assert result.code == 0, result.log
    assert quota.held(chain.state, LARGE.address) == before + result.gas_used
    assert quota.maker(chain.state, key("next").address) == WARM.address
    further = chain.deliver(key("next"), MsgGrant(granter=key("next").address, grantee=WARM.address, grant=grant))
    assert quota.held(chain.state, LARGE.address) == before + result.gas_used + further.gas_used


def test_d3_a_host_cannot_multiply_its_quota_by_making_accounts() -> None:
    chain = held_chain()
    chain.deliver(LARGE, registered(chain, WARM))
    chain.deliver(LARGE, send(LARGE, COINS - quota.held(chain.state, LARGE.address) - 40_000))
    refused = chain.deliver(WARM, registered(chain, key("next"), WARM))
    assert (refused.code, f"{WARM.address} must hold" in refused.log) == (SdkCode.INSUFFICIENT_FEE, True)


def test_an_account_that_exists_gets_no_maker() -> None:
    chain = held_chain()
    assert chain.deliver(LARGE, registered(chain, STRANGER)).code == 0
    assert quota.maker(chain.state, STRANGER.address) is None


def test_without_a_price_and_coins_to_hold_everything_is_free() -> None:
    chain = new_chain(price=0)
    assert chain.deliver(STRANGER, send(STRANGER)).code == 0
    assert events_of(chain.deliver(STRANGER, send(STRANGER)), "tx")[0] == {"fee": "", "fee_payer": STRANGER.address}


def test_another_signer_pays_if_the_transaction_names_it() -> None:
    chain = new_chain(price=0)
    raw = TxRaw.FromString(chain.sign(LARGE, send(LARGE), fee=500))
    auth = AuthInfo.FromString(raw.auth_info_bytes)
    auth.signer_infos.append(
        AuthInfo.FromString(TxRaw.FromString(chain.sign(STRANGER, send(STRANGER))).auth_info_bytes).signer_infos[0]
    )
    auth.fee.payer = STRANGER.address
    raw.auth_info_bytes = auth.SerializeToString()
    signers = (LARGE, STRANGER)
    numbers = [chain.account(signer.address).number for signer in signers]
    raw.signatures[:] = [
        signer.sign(sign_bytes(raw.body_bytes, raw.auth_info_bytes, CHAIN_ID, number))
        for signer, number in zip(signers, numbers, strict=True)
    ]
    (result,) = chain.block(raw.SerializeToString())
    assert result.code == 0, result.log
    assert chain.balance(STRANGER.address) == COINS + 1 - 500
    assert events_of(result, "tx")[0] == {"fee": "500ngonka", "fee_payer": STRANGER.address}
