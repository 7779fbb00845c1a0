"""The chain, its blocks and the outbox, held in this process and moved by the test."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from google.protobuf.message import Message

from pivot.api.ledger.interface import GRPC_CODESPACE, ChainRefused, ChainUnavailable, Head, Outcome
from pivot.api.phases import Listener, Moment
from pivot.primitives.keys import PrivateKey
from pivot.protocol.epochs import boundaries, phase_at
from pivot.protocol.generated.inference.inference import query_pb2 as queries
from pivot.protocol.generated.inference.inference.params_pb2 import Params
from pivot.protocol.generated.inference.inference.tx_pb2 import MsgSubmitHardwareDiff
from pivot.protocol.generated.inference.inference.types_pb2 import (
    ActiveParticipants,
    Epoch,
    EpochGroupData,
    HardwareNode,
    HardwareNodes,
    HashChain,
    Inference,
    MLNodeInfo,
    Model,
    Participant,
    SettleAmount,
    ValidationWeight,
)
from pivot.protocol.parameters import preset_params

CHAIN_ID = "pivot-test"
MODEL = "pivot/tiny-chat"
NOT_FOUND = ChainRefused(5, GRPC_CODESPACE, "not found")
BLOCK_NS = 2_000_000_000
"""Between blocks, by their own clock: what must be done within some of them has so much of real time, also on a full machine."""


@dataclass
class FakeChain:
    """What the chain would answer. `down` makes every question fail; what a fleet never asks is not answered, so that it shows."""

    chain_id: str = CHAIN_ID
    down: bool = False
    models: list[Model] = field(default_factory=lambda: [Model(id=MODEL, model_args=["--max-model-len", "1024"])])
    hardware: dict[str, list[HardwareNode]] = field(default_factory=dict)
    groups: dict[tuple[int, str], EpochGroupData] = field(default_factory=dict)
    participants: dict[str, Participant] = field(default_factory=dict)
    keys: dict[str, list[bytes]] = field(default_factory=dict)
    duties: dict[int, list[queries.PocDuty]] = field(default_factory=dict)
    revealed: dict[int, int | None] = field(default_factory=dict)
    """Elements by epoch; None where the chain has no commit of the host."""
    settled_epoch: int = 0
    latest: Epoch = field(default_factory=Epoch)
    effective: Epoch = field(default_factory=Epoch)
    records_of_epochs: dict[int, Epoch] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    async def query(self, path: str, request: Any, response: type[Any]) -> Any:
        self._note(path.rsplit("/", 1)[1])
        match path.rsplit("/", 1)[1]:
            case "ModelsAll":
                return queries.QueryModelsAllResponse(model=self.models)
            case "HardwareNodes":
                if request.participant not in self.hardware:
                    raise NOT_FOUND
                mine = self.hardware[request.participant]
                nodes = HardwareNodes(participant=request.participant, hardware_nodes=mine)
                return queries.QueryHardwareNodesResponse(nodes=nodes)
            case "PocCommits":
                return queries.QueryPocCommitsResponse(duties=self.duties.get(request.epoch_index, []))
            case "EpochRecord":
                if request.epoch_index not in self.records_of_epochs:
                    raise NOT_FOUND
                return queries.QueryEpochRecordResponse(epoch=self.records_of_epochs[request.epoch_index])
            case "HashChain":
                count = self.revealed.get(request.epoch_index, 0)
                if count is None:
                    raise NOT_FOUND
                return queries.QueryHashChainResponse(hash_chain=HashChain(revealed=count))
            case "SettleAmount":
                if not self.settled_epoch:
                    raise NOT_FOUND
                amount = SettleAmount(participant=request.participant, epoch_index=self.settled_epoch)
                return queries.QueryGetSettleAmountResponse(settle_amount=amount)
        raise AssertionError(path)

    async def params(self) -> Params:
        return preset_params("test")

    async def epoch_info(self) -> queries.QueryEpochInfoResponse:
        self._note("EpochInfo")
        return queries.QueryEpochInfoResponse(latest_epoch=self.latest, effective_epoch=self.effective)

    async def epoch_group(self, epoch: int, model: str = "") -> EpochGroupData | None:
        self._note("EpochGroupData")
        return self.groups.get((epoch, model))

    async def active_participants(self, epoch: int) -> ActiveParticipants | None:
        raise NotImplementedError

    async def participant(self, address: str) -> Participant | None:
        self._note("Participant")
        return self.participants.get(address)

    async def balance(self, address: str) -> int:
        raise NotImplementedError

    async def public_keys(self, address: str, message_type: str) -> list[bytes]:
        self._note("public_keys")
        return self.keys.get(address, [])

    async def model_price(self, model: str) -> int | None:
        raise NotImplementedError

    async def inference(self, inference_id: str) -> Inference | None:
        raise NotImplementedError

    def take_hardware(self, _key: str, message: Message) -> int | None:
        """What the chain does with a report of hardware; other messages are left waiting."""
        if not isinstance(message, MsgSubmitHardwareDiff):
            return None
        gone = {each.local_id for each in [*message.removed, *message.newOrModified]}
        kept = [each for each in self.hardware.get(message.creator, []) if each.local_id not in gone]
        self.hardware[message.creator] = [*kept, *message.newOrModified]
        return 0

    def _note(self, name: str) -> None:
        self.asked.append(name)
        if self.down:
            raise ChainUnavailable("the chain is down")


@dataclass
class FakeOutbox:
    """Entries under their keys. The chain's answer is whatever `on_put` says, at once; None leaves the entry waiting."""

    messages: dict[str, Message] = field(default_factory=dict)
    deadlines: dict[str, int] = field(default_factory=dict)
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    on_put: Callable[[str, Any], int | None] = lambda _key, _message: None

    async def put(self, key: str, message: Message, *, deadline_height: int = 0) -> None:
        if key in self.messages:
            return
        self.messages[key], self.deadlines[key] = message, deadline_height
        code = self.on_put(key, message)
        self.outcomes[key] = Outcome(key, done=code is not None, code=code or 0, log="refused" if code else "")

    async def outcome(self, key: str) -> Outcome | None:
        return self.outcomes.get(key)

    async def wait(self, key: str, timeout_s: float) -> Outcome | None:
        return self.outcomes.get(key)

    def done(self, key: str, code: int = 0) -> None:
        self.outcomes[key] = Outcome(key, done=True, code=code)


class FakePhases:
    """Blocks that the test makes."""

    def __init__(self, chain: FakeChain) -> None:
        self.moment: Moment | None = None
        self._chain = chain
        self._listeners: list[Listener] = []

    def listen(self, listener: Listener) -> None:
        self._listeners.append(listener)

    async def wait_for(self, condition: Callable[[Moment], bool], timeout_s: float) -> Moment | None:
        raise NotImplementedError

    async def at(self, height: int, *, synced: bool = True) -> None:
        """Go to a block; epochs follow from the chain's records."""
        latest = self._chain.latest
        self.moment = Moment(
            head=Head(height, height * BLOCK_NS, height.to_bytes(32, "big")),
            latest=latest,
            effective=self._chain.effective,
            phase=phase_at(latest, height),
            next_poc_start=latest.boundaries.next_poc_start,
            synced=synced,
        )
        for listener in self._listeners:
            await listener(self.moment)
        await settle()


def epoch(index: int, poc_start: int = 10) -> Epoch:
    """An epoch's record under the parameters of the preset `test`: the sprint lasts 25 blocks, the epoch 120."""
    params = preset_params("test")
    params.poc_params.max_rate = 0
    return Epoch(
        index=index,
        poc_start_block_height=poc_start,
        boundaries=boundaries(params.epoch_params, poc_start),
        params=params,
        sprint_seed=bytes([index]) * 32,
        created_time=poc_start * BLOCK_NS,
    )


def group(index: int, members: dict[str, list[MLNodeInfo]]) -> EpochGroupData:
    return EpochGroupData(
        epoch_index=index,
        validation_weights=[
            ValidationWeight(member_address=address, weight=10, ml_nodes=nodes) for address, nodes in members.items()
        ],
    )


def key(number: int) -> PrivateKey:
    return PrivateKey(number.to_bytes(32, "big"))


async def settle() -> None:
    """Let what is ready to run have its turn."""
    for _ in range(20):
        await asyncio.sleep(0)


async def until(condition: Callable[[], Any], patience_s: float = 10.0) -> Any:
    """What `condition` gives as soon as it is true."""
    async with asyncio.timeout(patience_s):
        while not (found := condition()):
            await asyncio.sleep(0.01)
        return found
