"""A simulated network: its actors, the application under them, and what has been sent so far."""

import base64
import json
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

from cosmos.base.v1beta1.coin_pb2 import Coin
from cosmos.gov.v1.gov_pb2 import Params as GovParams
from google.protobuf import json_format
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from tendermint.abci import types_pb2 as abci
from tendermint.types.params_pb2 import BlockParams, ConsensusParams, EvidenceParams, ValidatorParams

from pivot.chain.invariants import INVARIANTS
from pivot.chain.modules.auth.state import account
from pivot.chain.modules.gov.state import require_proposal
from pivot.chain.store.interface import Snapshot, Store
from pivot.primitives.addresses import of_module, operator
from pivot.primitives.coins import BASE_DENOM, NGONKA_PER_GONKA
from pivot.primitives.keys import PrivateKey
from pivot.protocol.generated.inference.inference.genesis_pb2 import GenesisParticipant, GenesisState
from pivot.protocol.generated.inference.inference.params_pb2 import Decimal, GenesisOnlyParams, Params
from pivot.protocol.generated.inference.inference.tx_pb2 import MsgFinishInference, MsgStartInference
from pivot.protocol.generated.inference.inference.types_pb2 import (
    Hardware,
    HardwareNode,
    HardwareNodes,
    Model,
    Participant,
    ParticipantStatus,
)
from pivot.protocol.governance import gov_params
from pivot.protocol.parameters import check_params, preset_params
from pivot.protocol.transactions import NANOSECONDS, ordered, timestamp, unordered
from tests.simulation.actors import Host, account_key
from tests.simulation.engine import BlockPlan, Engine, absent_of

CHAIN_ID = "pivot-simulation-1"
GENESIS_TIME = 1_700_000_000 * NANOSECONDS
MODELS = ("org/large", "org/small", "org/tiny")
CARD = "H100"
ACCOUNTS, HOSTS, GENESIS_HOSTS, NODES = 200, 24, 6, 4
EVERY_NTH_HOST_LIES = 4
COINS = 10**4 * NGONKA_PER_GONKA
REWARDS_SUPPLY = 10**8 * NGONKA_PER_GONKA
MAX_GAS = 100_000_000
MATURE_WEIGHT = 5_000
"""Up to this weight of all, the guardian is lifted."""
SLEEP = 10
"""Blocks."""
DEPOSIT = 1_000_000
"""ngonka that open the vote on a proposal."""
VOTING_SECONDS, EXPEDITED_SECONDS, JAIL_SECONDS = 6, 3, 5
REMEMBERED = 400
"""Transactions that may be replayed, and requests that may be finished."""


def simulated_params() -> Params:
    """The preset `test` with epochs of 48 blocks, so that a run of 200 sees four of them."""
    params = preset_params("test")
    epoch = params.epoch_params
    epoch.epoch_length, epoch.epoch_shift = 48, 5
    epoch.poc_stage_duration, epoch.poc_exchange_duration, epoch.poc_validation_delay = 5, 2, 2
    epoch.poc_validation_duration, epoch.set_new_validators_delay = 6, 2
    epoch.randomness_freeze, epoch.previous_epoch_grace, epoch.inference_validation_cutoff = 6, 10, 4
    epoch.inference_pruning_epoch_threshold = 2
    params.validation_params.expiration_blocks = 15
    params.poc_params.max_rate = 0
    params.collateral_params.grace_period_end_epoch = 2
    check_params(params)
    return params


@dataclass
class World:
    """One run. The same seed and the same operations give the same blocks."""

    seed: int
    open_store: Callable[[], Store]
    accounts: list[PrivateKey] = field(init=False)
    hosts: list[Host] = field(init=False)
    keys: dict[str, PrivateKey] = field(init=False)
    """Of all actors, by address."""
    engine: Engine = field(init=False)
    time: int = GENESIS_TIME
    starts: deque[MsgStartInference] = field(default_factory=lambda: deque(maxlen=REMEMBERED))
    """Accepted requests that may still be finished."""
    finishes: deque[MsgFinishInference] = field(default_factory=lambda: deque(maxlen=REMEMBERED))
    sent: deque[bytes] = field(default_factory=lambda: deque(maxlen=REMEMBERED))
    accepted: Counter[str] = field(default_factory=Counter)
    """Messages that ran, by type."""
    refused: Counter[tuple[str, int]] = field(default_factory=Counter)
    """Transactions that stood in a block and were refused, by codespace and code."""
    _serial: int = 0
    _sequences: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.accounts = [account_key(f"account {number}") for number in range(ACCOUNTS)]
        self.hosts = [
            Host(f"host{number}", honest=number % EVERY_NTH_HOST_LIES != EVERY_NTH_HOST_LIES - 1)
            for number in range(HOSTS)
        ]
        known = [*self.accounts, *(key for host in self.hosts for key in (host.key, host.gateway))]
        self.keys = {key.address: key for key in known}
        self.engine = Engine(self.open_store)
        consensus = ConsensusParams(
            block=BlockParams(max_bytes=4 * 2**20, max_gas=MAX_GAS),
            evidence=EvidenceParams(
                max_age_num_blocks=1_000, max_age_duration=Duration(seconds=3_600), max_bytes=2**20
            ),
            validator=ValidatorParams(pub_key_types=["ed25519"]),
        )
        self.engine.init(CHAIN_ID, json.dumps(self.genesis()).encode(), consensus, GENESIS_TIME)
        self.make_block(BlockPlan(1, GENESIS_TIME + NANOSECONDS), [])

    @property
    def height(self) -> int:
        """Of the block under way."""
        return self.engine.store.height + 1

    @property
    def state(self) -> Snapshot:
        """The last committed rows."""
        return self.engine.store.view()

    def genesis(self) -> dict[str, Any]:
        """The `app_state` with which a run begins."""
        balances = {key.address: COINS for key in self.accounts}
        balances |= {key.address: COINS for host in self.hosts for key in (host.key, host.gateway)}
        balances[of_module("rewards")] = REWARDS_SUPPLY
        network = GenesisState(
            params=simulated_params(),
            genesis_only_params=GenesisOnlyParams(
                max_individual_power_percentage=Decimal(value=25, exponent=-2),
                genesis_guardian_enabled=True,
                genesis_guardian_network_maturity_threshold=MATURE_WEIGHT,
                genesis_guardian_multiplier=Decimal(value=52, exponent=-2),
                genesis_guardian_addresses=[operator(self.hosts[0].address)],
            ),
            model_list=[Model(id=name, throughput_per_nonce=10, context_window=4096) for name in MODELS],
            participants=[
                GenesisParticipant(
                    participant=Participant(
                        address=host.address,
                        inference_url=host.url,
                        validator_key=base64.b64encode(host.consensus_key).decode(),
                        status=ParticipantStatus.ACTIVE,
                        account_public_key=host.key.public_key,
                        gateway_address=host.gateway.address,
                    ),
                    weight=100 + number,
                    hardware_nodes=HardwareNodes(hardware_nodes=declared_nodes(NODES)),
                )
                for number, host in enumerate(self.hosts[:GENESIS_HOSTS])
            ],
        )
        return {
            "bank": {
                "balances": [
                    {"address": address, "coins": [{"denom": BASE_DENOM, "amount": str(amount)}]}
                    for address, amount in sorted(balances.items())
                ]
            },
            "gov": {"params": _document(_gov_params())},
            "slashing": {"params": SLASHING},
            "inference": _document(network),
        }

    # What actors sign

    def unordered(self, key: PrivateKey, *messages: Message, **options: Any) -> bytes:
        """A transaction as API nodes send it."""
        self._serial += 1
        timeout = self.time + 60 * NANOSECONDS + self._serial
        number, _ = self._place(key)
        return unordered(
            key, messages, **{"chain_id": CHAIN_ID, "account_number": number, "timeout_ns": timeout, **options}
        )

    def ordered(self, key: PrivateKey, *messages: Message, **options: Any) -> bytes:
        """A transaction as wallets send it, behind the account's earlier ones in this block."""
        number, committed = self._place(key)
        sequence = self._sequences.get(key.address, committed)
        self._sequences[key.address] = sequence + 1
        return ordered(
            key, messages, **{"chain_id": CHAIN_ID, "account_number": number, "sequence": sequence, **options}
        )

    def _place(self, key: PrivateKey) -> tuple[int, int]:
        found = account(self.state, key.address)
        return (found.number, found.sequence) if found else (0, 0)

    def key_of(self, address: str) -> PrivateKey:
        """The key of an actor's address."""
        return self.keys[address]

    def host_of(self, address: str) -> Host | None:
        """The host with this account address."""
        return next((host for host in self.hosts if host.address == address), None)

    # Blocks

    def make_block(self, plan: BlockPlan, offered: Sequence[bytes]) -> abci.ResponseFinalizeBlock:
        """Have a block made of what is offered, count what became of it, and check every invariant."""
        self.time = plan.time
        self.sent.extend(offered)
        response = self.engine.make_block(plan, offered)
        self._sequences.clear()
        self._count(response)
        state = self.state
        for check in INVARIANTS:
            check(state)
        return response

    def block_plan(self, rng: Random) -> BlockPlan:
        """What chance does to the next block."""
        powers = self.engine.sets[self.height - 1]
        liars = [host for host in self.hosts if not host.honest and host.consensus_key in powers]
        sleepers = [host.consensus_key for number, host in enumerate(self.hosts) if self._sleeps(host, number, rng)]
        return BlockPlan(
            height=self.height,
            time=self.time + rng.choice([200, 200, 200, 250, 1_000, 5_000]) * 10**6,
            hostile_proposer=rng.random() < 0.15,
            crash_before_commit=rng.random() < 0.04,
            finalize_twice=rng.random() < 0.04,
            restart_after_commit=rng.random() < 0.04,
            absent=absent_of(powers, sleepers),
            misbehaviours=[self._double_sign(rng.choice(liars), powers)] if liars and rng.random() < 0.02 else (),
        )

    def _sleeps(self, host: Host, number: int, rng: Random) -> bool:
        """Honest hosts miss a block now and then; liars sleep a third of the time, long enough to be jailed."""
        return rng.random() < 0.02 or (not host.honest and (self.height // SLEEP + number) % 3 == 0)

    def _double_sign(self, host: Host, powers: Mapping[bytes, int]) -> abci.Misbehavior:
        """The engine's evidence that a host has signed two blocks of one height."""
        return abci.Misbehavior(
            type=abci.MisbehaviorType.DUPLICATE_VOTE,
            validator=abci.Validator(address=host.consensus_address, power=powers[host.consensus_key]),
            height=self.height - 1,
            time=timestamp(self.time),
            total_voting_power=sum(powers.values()),
        )

    def _count(self, response: abci.ResponseFinalizeBlock) -> None:
        for result in response.tx_results:
            if result.code:
                self.refused[result.codespace, result.code] += 1
                continue
            for event in result.events:
                if event.type == "message":
                    self.accepted.update(each.value for each in event.attributes if each.key == "action")
        for event in response.events:
            told = {each.key: each.value for each in event.attributes}
            if event.type == "active_proposal" and told["proposal_result"] == "proposal_passed":
                passed = require_proposal(self.state, int(told["proposal_id"]))
                self.accepted.update(packed.type_url for packed in passed.messages)


def declared_nodes(count: int, first: int = 0) -> list[HardwareNode]:
    """Nodes as hosts declare them, their models in turn, with the same cards."""
    return [
        HardwareNode(
            local_id=f"node{number}",
            node_number=number,
            models=[MODELS[number % len(MODELS)]],
            hardware=[Hardware(type=CARD, count=4)],
        )
        for number in range(first, first + count)
    ]


def _gov_params() -> GovParams:
    """Votes of some seconds; a quarter of the hosts decides."""
    params = gov_params("test")
    del params.min_deposit[:], params.expedited_min_deposit[:]
    params.min_deposit.append(Coin(denom=BASE_DENOM, amount=str(DEPOSIT)))
    params.expedited_min_deposit.append(Coin(denom=BASE_DENOM, amount=str(2 * DEPOSIT)))
    for name, seconds in (
        ("max_deposit_period", VOTING_SECONDS),
        ("voting_period", VOTING_SECONDS),
        ("expedited_voting_period", EXPEDITED_SECONDS),
    ):
        getattr(params, name).seconds = seconds
    return params


SLASHING = {
    "signed_blocks_window": "10",
    "min_signed_per_window": "0.5",
    "downtime_jail_duration": f"{JAIL_SECONDS}s",
    "slash_fraction_double_sign": "0.05",
    "slash_fraction_downtime": "0.01",
}
"""Whoever misses half of ten blocks is jailed for some seconds."""


def _document(message: Message) -> dict[str, Any]:
    return json_format.MessageToDict(message, preserving_proto_field_name=True)
