"""A real chain in this process, without an engine: blocks when the test says so.

What it answers to queries, lets into its mempool and takes into a block is what any node of a network would; only the
consensus among several of them is left out. A sprint takes 28 blocks here, an epoch 48.
"""

import base64
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cosmpy.protos  # noqa: F401  (puts the folder of the standard types on the path)
from cosmos.base.abci.v1beta1.abci_pb2 import TxMsgData
from cosmos.tx.v1beta1.tx_pb2 import TxBody, TxRaw
from google.protobuf.message import Message

from pivot.api.ledger.chain import GrpcChain
from pivot.api.ledger.interface import GRPC_CODESPACE, Answer, ChainRefused, Head
from pivot.api.ledger.rpc import Inclusion, Verdict
from pivot.chain.errors import Rejection
from pivot.chain.gateway.refusals import refused
from pivot.chain.modules.bank.state import REWARDS
from pivot.chain.modules.epochs.state import effective_index
from pivot.chain.registry import MESSAGES, QUERIES
from pivot.chain.store.database import Database
from pivot.chain.types import STORES, Block, View
from pivot.primitives.hashes import sha256
from pivot.protocol.generated.inference.inference.genesis_pb2 import GenesisParticipant, GenesisState
from pivot.protocol.generated.inference.inference.params_pb2 import Decimal, Params
from pivot.protocol.generated.inference.inference.tx_pb2 import (
    ItemResult,
    MsgRecordInferences,
    MsgRecordInferencesResponse,
    MsgSubmitValidations,
    MsgSubmitValidationsResponse,
)
from pivot.protocol.generated.inference.inference.types_pb2 import (
    HardwareNode,
    HardwareNodes,
    Model,
    Participant,
    ParticipantStatus,
)
from pivot.protocol.parameters import check_params, preset_params
from pivot.protocol.transactions import transaction_hash
from tests.chain.chain import CHAIN_ID, Chain, consensus_key, key
from tests.chain.requests import HOSTS, make_finish, make_start

NAMES = tuple(HOSTS)
DEVELOPER = key("developer")
MODEL = "pivot/tiny-chat"
NODE = HardwareNode(local_id="node1", node_number=1, models=[MODEL])
COINS = 10**12
FIRST_SPRINT, FIRST_EPOCH = 4, 1


def short_params() -> Params:
    """The preset `test` with epochs of 48 blocks, in which no duty may be missing."""
    params = preset_params("test")
    epoch = params.epoch_params
    epoch.epoch_length, epoch.epoch_shift = 48, FIRST_SPRINT
    epoch.poc_stage_duration, epoch.poc_exchange_duration, epoch.poc_validation_delay = 8, 5, 6
    epoch.poc_validation_duration, epoch.set_new_validators_delay = 12, 2
    epoch.randomness_freeze, epoch.previous_epoch_grace, epoch.inference_validation_cutoff = 6, 10, 4
    params.validation_params.missing_duties_allowed.CopyFrom(Decimal(value=0))
    params.poc_params.max_rate = 0
    check_params(params)
    return params


@dataclass(frozen=True)
class Said:
    """A message of a host that stood in a block, and what became of it; once more for every item in it that was refused."""

    height: int
    message: Any
    code: int
    log: str

    @property
    def creator(self) -> str:
        return str(self.message.creator)


@dataclass
class Network:
    """Hosts that all serve one model, from the genesis on."""

    url: str
    """Where the hosts' public ports are; each has its name for a folder."""
    home: Path
    chain: Chain = field(init=False)
    mempool: list[bytes] = field(default_factory=list)
    included: dict[str, Inclusion] = field(default_factory=dict)
    said: list[Said] = field(default_factory=list)

    def __post_init__(self) -> None:
        participants = [
            GenesisParticipant(
                participant=Participant(
                    address=key(name).address,
                    inference_url=f"{self.url}/{name}",
                    status=ParticipantStatus.ACTIVE,
                    validator_key=base64.b64encode(consensus_key(name)).decode(),
                    account_public_key=key(name).public_key,
                ),
                weight=10,
                hardware_nodes=HardwareNodes(hardware_nodes=[NODE]),
            )
            for name in NAMES
        ]
        document = GenesisState(params=short_params(), model_list=[Model(id=MODEL)], participants=participants)
        balances = {key(name).address: COINS for name in (*NAMES, "developer")} | {REWARDS: 10**18}
        self.chain = Chain(balances, document, store=Database.open(self.home, STORES))

    @property
    def head(self) -> Head:
        return Head(self.chain.height, self.chain.time, sha256(self.chain.height.to_bytes(8)))

    def make_block(self) -> None:
        """All of the mempool into one block."""
        transactions, self.mempool = self.mempool, []
        results = self.chain.block(*transactions)
        for raw, result in zip(transactions, results, strict=True):
            verdict = Verdict(result.code, result.codespace, result.log)
            self.included[transaction_hash(raw)] = Inclusion(self.chain.height, verdict, bytes(result.data))
            self._note(raw, verdict, bytes(result.data))

    def offer(self, raw: bytes) -> Verdict:
        """Hand a transaction to the mempool, as a node's RPC does."""
        if raw in self.mempool:
            return Verdict(0)
        told = self.chain.check(raw)
        if told.code == 0:
            self.mempool.append(raw)
        return Verdict(told.code, told.codespace, told.log)

    def answer(self, body: bytes, artifact_hash: str) -> tuple[str, str]:
        """Let a request be answered in the next block, by whom the draw says; the executor's name, and the answer's id."""
        block = Block(self.chain.store.begin(), CHAIN_ID, self.chain.height, self.chain.time, b"")
        epoch = effective_index(self.chain.state)
        start = make_start(block, developer=DEVELOPER, model=MODEL, body=body, epoch=epoch, agent=NAMES[0])
        finish = make_finish(start, artifact_hash=artifact_hash)
        executor = next(name for name in NAMES if key(name).address == start.assigned_to)
        batch = MsgRecordInferences(creator=start.assigned_to, finishes=[finish])
        assert self.offer(self.chain.sign_unordered(key(executor), batch, seconds=90)).code == 0
        return executor, start.inference_id

    def query(self, path: str, request: Message) -> Message:
        """The answer of a node's gateway. Raises ChainRefused."""
        handler = QUERIES.find(path)
        assert handler is not None, path
        view = View(self.chain.state, CHAIN_ID, self.chain.height, self.chain.time)
        try:
            return handler.answer(view, request)
        except Rejection as rejection:
            refusal = refused(rejection)
            raise ChainRefused(refusal.number, GRPC_CODESPACE, refusal.message) from rejection

    def _note(self, raw: bytes, verdict: Verdict, data: bytes) -> None:
        answers = TxMsgData.FromString(data).msg_responses
        for number, packed in enumerate(TxBody.FromString(TxRaw.FromString(raw).body_bytes).messages):
            handler = MESSAGES.find(packed.type_url)
            assert handler is not None
            message = handler.type.FromString(packed.value)
            self.said.append(Said(self.chain.height, message, verdict.code, verdict.log))
            if isinstance(message, MsgSubmitValidations | MsgRecordInferences) and not verdict.code:
                refused_items = (each for each in items_of(message, answers[number].value) if each.code)
                self.said += [Said(self.chain.height, message, each.code, each.log) for each in refused_items]


def items_of(message: MsgSubmitValidations | MsgRecordInferences, answer: bytes) -> Sequence[ItemResult]:
    """What became of a message's parts."""
    if isinstance(message, MsgSubmitValidations):
        return MsgSubmitValidationsResponse.FromString(answer).reports
    return MsgRecordInferencesResponse.FromString(answer).finishes


class ChainNode(GrpcChain):
    """What a host asks its chain node: queries, and the mempool (`ledger/chain.py`, `ledger/rpc.py`)."""

    def __init__(self, network: Network, write: Callable[[], None]) -> None:
        """write: called before a transaction is handed over."""
        super().__init__("http://127.0.0.1:1", CHAIN_ID)
        self._network = network
        self._write = write

    async def query(self, path: str, request: Message, response: type[Answer]) -> Answer:
        answer = self._network.query(path, request)
        assert isinstance(answer, response)
        return answer

    async def broadcast(self, raw: bytes) -> Verdict:
        self._write()
        return self._network.offer(raw)

    async def transaction(self, transaction_hash: str) -> Inclusion | None:
        return self._network.included.get(transaction_hash)
