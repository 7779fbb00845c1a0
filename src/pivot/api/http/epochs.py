"""Where the network stands, and who its members are, with the proof of it."""

import base64
from typing import Any, Protocol

from fastapi import APIRouter

from pivot.api.http.errors import BadRequest, NotFound, Unavailable
from pivot.api.http.plain import plain
from pivot.api.ledger.answers import BriefAnswers, LastingAnswers
from pivot.api.ledger.interface import ChainRefused
from pivot.api.phases import Moment, Phases
from pivot.primitives.addresses import consensus_address
from pivot.protocol.epochs import boundaries
from pivot.protocol.generated.inference.inference.types_pb2 import ActiveParticipants, Epoch, EpochBoundaries

STORE = "inference"
KEY_PREFIX = b"ActiveParticipants/value/"
MAX_EPOCH_DIGITS = 19
KEPT_EPOCHS = 8
"""Of so many epochs the members are kept in memory."""
NEXT_BLOCK_SECONDS = 30.0
"""The proof needs the block after the state that it proves; so long that block may take."""
NO_MEMBERS = "No active participants found for the specified epoch. Looks like PoC failed!"


class Engine(Protocol):
    """What is asked of the engine's RPC (`ledger/rpc.py`)."""

    async def abci_query(self, path: str, data: bytes, *, height: int = 0, prove: bool = False) -> dict[str, Any]: ...

    async def block(self, height: int | None = None) -> dict[str, Any]: ...

    async def validators(self, height: int | None = None) -> list[dict[str, Any]]: ...


class Archive(Protocol):
    """Where proofs are kept for good (`proofs/archive.py`)."""

    async def find(self, epoch: int) -> dict[str, Any] | None: ...

    async def keep(self, epoch: int, document: dict[str, Any]) -> None: ...


class Epochs:
    """The routes under `/v1/epochs`."""

    def __init__(self, engine: Engine, phases: Phases, archive: Archive | None = None) -> None:
        """archive: where proofs outlive the chain's memory; None: nowhere."""
        self._engine = engine
        self._archive = archive
        self._phases = phases
        self._asking = BriefAnswers(KEPT_EPOCHS)
        self._members = LastingAnswers(KEPT_EPOCHS)
        self.router = APIRouter()
        self.router.add_api_route("/v1/epochs/{epoch}/participants", self.participants)
        self.router.add_api_route("/v1/epochs/{epoch}", self.stages)

    async def participants(self, epoch: str) -> dict[str, Any]:
        """The members of an epoch (`current` or its number), with an ICS-23 proof against a block's app hash."""
        moment = self._moment()
        index = moment.effective.index if epoch == "current" else _number(epoch, moment)
        if index == 0:
            raise NotFound(NO_MEMBERS)
        return await self.members_of(index)

    async def stages(self, epoch: str) -> dict[str, Any]:
        """The heights at which an epoch (`latest` or its number) changes its phase."""
        moment = self._moment()
        record = _record(epoch, moment)
        params = record.params.epoch_params
        following = record.boundaries.next_poc_start or moment.next_poc_start
        return {
            "block_height": moment.head.height,
            "latest_epoch": {"index": record.index, "poc_start_block_height": record.poc_start_block_height},
            "phase": str(moment.phase),
            "epoch_stages": _stages(record.index, record.boundaries),
            "next_epoch_stages": _stages(record.index + 1, boundaries(params, following)),
            "epoch_params": plain(params),
        }

    async def close(self) -> None:
        await self._asking.close()

    def _moment(self) -> Moment:
        moment = self._phases.moment
        if moment is None:
            raise Unavailable("this node has not seen a block yet")
        return moment

    async def members_of(self, epoch: int) -> dict[str, Any]:
        """An epoch's members, with their proof. Raises NotFound, Unavailable, LedgerError.

        An epoch's members do not change, and their proof stays good; callers at the same time wait for one answer.
        """
        answer = await self._members.get(epoch, lambda: self._asking.get(epoch, lambda: self._load_members(epoch)))
        if answer is None:
            raise NotFound(NO_MEMBERS)
        return answer

    async def _load_members(self, epoch: int) -> dict[str, Any] | None:
        kept = await self._archive.find(epoch) if self._archive else None
        if kept is not None:
            return kept
        proved = await self._prove_members(epoch)
        if proved is not None and self._archive:
            await self._archive.keep(epoch, proved)
        return proved

    async def _prove_members(self, epoch: int) -> dict[str, Any] | None:
        key = KEY_PREFIX + epoch.to_bytes(8, "big") + b"/"
        answer = await self._engine.abci_query(f"/store/{STORE}/key", key, prove=True)
        value = base64.b64decode(answer.get("value") or "")
        if not value:
            return None
        members = ActiveParticipants.FromString(value)
        block = await self._block(int(answer["height"]) + 1)
        keys = [base64.b64decode(member.validator_key) for member in members.participants]
        return {
            "active_participants": plain(members),
            "addresses": [consensus_address(key).hex().upper() for key in keys],
            "active_participants_bytes": value.hex(),
            "proof_ops": answer["proofOps"],
            "validators": await self._engine.validators(int(block["header"]["height"])),
            "block": block,
            "excluded_participants": [],
        }

    async def _block(self, height: int) -> dict[str, Any]:
        """The block whose header holds the app hash of the state at `height` − 1."""
        if await self._phases.wait_for(lambda moment: moment.head.height >= height, NEXT_BLOCK_SECONDS) is None:
            raise Unavailable(f"block {height} did not come within {NEXT_BLOCK_SECONDS:.0f} s")
        try:
            block: dict[str, Any] = (await self._engine.block(height))["block"]
        except ChainRefused as refusal:
            raise Unavailable(f"the engine does not have block {height}: {refusal.log}") from refusal
        return block


def _number(text: str, moment: Moment) -> int:
    """An epoch's number that has been reached. Raises BadRequest with the published sentences."""
    if not text.isascii() or not text.isdigit() or len(text) > MAX_EPOCH_DIGITS:
        raise BadRequest("Invalid epoch id", param="epoch")
    number = int(text)
    if number == 0:
        raise BadRequest("Epoch enumeration starts with 1", param="epoch")
    if number > moment.latest.index:
        raise BadRequest("Epoch is not reached", param="epoch")
    return number


def _record(epoch: str, moment: Moment) -> Epoch:
    if epoch == "latest":
        return moment.latest
    number = _number(epoch, moment)
    for record in (moment.latest, moment.effective):
        if record.index == number:
            return record
    raise NotFound(f"the stages of epoch {number} are over and not kept here")


def _stages(index: int, marks: EpochBoundaries) -> dict[str, Any]:
    """Heights under the published names; windows are inclusive."""
    return {
        "epoch_index": index,
        "poc_start": marks.poc_start,
        "poc_generation_wind_down": marks.poc_generation_wind_down,
        "poc_generation_end": marks.poc_generation_end,
        "poc_validation_start": marks.poc_validation_start,
        "poc_validation_wind_down": marks.poc_validation_wind_down,
        "poc_validation_end": marks.poc_validation_end,
        "set_new_validators": marks.set_new_validators,
        "claim_money": marks.claim_money,
        "inference_validation_cutoff": marks.inference_validation_cutoff,
        "next_poc_start": marks.next_poc_start,
        "poc_exchange_window": {"start": marks.poc_start + 1, "end": marks.poc_exchange_end},
        "poc_validation_exchange_window": {"start": marks.poc_validation_start + 1, "end": marks.poc_validation_end},
    }
