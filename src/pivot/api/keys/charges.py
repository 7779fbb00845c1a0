"""What keys are charged: an escrow is set aside for each answer, until the chain has settled what it did cost.

The chain's record is the only source of a cost, so a budget is what the gateway account has really paid, also after a restart.
"""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import cast

from sqlalchemy import Table, delete, select, update

from pivot.api.database import Database
from pivot.api.http.errors import BudgetSpent
from pivot.api.keys.issued import IssuedKey, IssuedKeys, Usage
from pivot.api.keys.tables import ApiKey, KeyAnswer, KeyCharge
from pivot.api.ledger.interface import Chain
from pivot.api.ledger.records import PAID
from pivot.api.phases import Moment
from pivot.protocol.generated.inference.inference.types_pb2 import Inference, InferenceStatus

FIRST_LOOK_BLOCKS = 2
"""A start and its finish need so many blocks to be on the chain."""
WAIT_SHARE = 4
"""What has not been settled after n blocks is looked at again after a quarter of n: long answers are not asked for each block."""
MAX_LOOKS_PER_BLOCK = 1_000
LOOKS_AT_A_TIME = 16
FORGET_AFTER_EXPIRIES = 2
"""A start that the chain has not seen after so many times an inference's life never comes."""


@dataclass
class Charge:
    """An answer that the chain has not settled yet."""

    inference_id: str
    key: IssuedKey
    escrow: int
    height: int
    next_look: int
    written: asyncio.Future[None] | None
    """Done when the row is on disk; None for one that was read from there."""

    @property
    def is_on_disk(self) -> bool:
        return self.written is None or self.written.done()


class Charges:
    """Answers for keys that the chain has not settled yet."""

    def __init__(self, keys: IssuedKeys, chain: Chain, database: Database) -> None:
        self._keys = keys
        self._chain = chain
        self._database = database
        self._open: dict[str, Charge] = {}

    async def load(self) -> None:
        """Read what was open before this process began; the keys must have been loaded."""
        async with self._database.session() as session:
            for row in await session.scalars(select(KeyCharge)):
                key = self._keys.by_id(row.key_id)
                self._open[row.inference_id] = Charge(row.inference_id, key, row.escrow, row.height, 0, None)

    @contextmanager
    def held(self, key: IssuedKey | None, inference_id: str, escrow: int, height: int) -> Iterator[Callable[[], None]]:
        """Set an escrow aside in the budget of `key`, if the request has one. Raises BudgetSpent.

        What is given is to be called when the answer begins: from then on the escrow stays set aside until the chain has
        settled the answer. Otherwise it is free again at the end.
        """
        if key is None:
            yield lambda: None
            return
        left, begun = key.left, False
        if left is not None and left < escrow:
            raise BudgetSpent(
                f"of this API key's budget of {key.terms.budget} ngonka {left} are left, and this request may need "
                f"{escrow}: lower max_tokens, or ask the host for more"
            )

        def begin() -> None:
            nonlocal begun
            begun = True
            self._note(key, inference_id, escrow, height)

        key.held += escrow
        try:
            yield begin
        finally:
            if not begun:
                key.held -= escrow

    async def settle(self, moment: Moment) -> None:
        """Look at the records of open answers, and charge what they did cost."""
        height = moment.head.height
        due = [each for each in self._open.values() if each.next_look <= height][:MAX_LOOKS_PER_BLOCK]
        patience = FORGET_AFTER_EXPIRIES * moment.effective.params.validation_params.expiration_blocks
        ended: list[tuple[Charge, Inference | None]] = []
        for start in range(0, len(due), LOOKS_AT_A_TIME):
            looked_at = due[start : start + LOOKS_AT_A_TIME]
            records = await asyncio.gather(*(self._chain.inference(each.inference_id) for each in looked_at))
            for charge, record in zip(looked_at, records, strict=True):
                lost = record is None and height > charge.height + patience
                if lost or (record is not None and record.status != InferenceStatus.STARTED):
                    ended.append((charge, record))
                else:
                    charge.next_look = height + max(1, (height - charge.height) // WAIT_SHARE)
        await self._close([(charge, record) for charge, record in ended if charge.is_on_disk], moment.effective.index)

    def _note(self, key: IssuedKey, inference_id: str, escrow: int, height: int) -> None:
        row = {"inference_id": inference_id, "key_id": key.id, "escrow": escrow, "height": height}
        written = self._database.writer.add(cast(Table, KeyCharge.__table__), row, hurried=False)
        self._open[inference_id] = Charge(inference_id, key, escrow, height, height + FIRST_LOOK_BLOCKS, written)

    async def _close(self, ended: list[tuple[Charge, Inference | None]], epoch: int) -> None:
        """Charge on disk, all or nothing, then in memory."""
        if not ended:
            return
        sums: dict[str, Usage] = {}
        answers = []
        for charge, record in ended:
            if record is not None:
                sums.setdefault(charge.key.id, Usage()).add(_used(record))
                if record.status in PAID:
                    answers.append(_answer(charge, record, epoch))
        async with self._database.session() as session:
            for key_id, more in sums.items():
                await session.execute(update(ApiKey).where(ApiKey.id == key_id).values(more.added()))
            session.add_all(answers)
            ids = [charge.inference_id for charge, _ in ended]
            await session.execute(delete(KeyCharge).where(KeyCharge.inference_id.in_(ids)))
        for charge, record in ended:
            del self._open[charge.inference_id]
            charge.key.held -= charge.escrow
            if record is not None:
                charge.key.used.add(_used(record))


def _used(record: Inference) -> Usage:
    """What a settled record counts for; of an answer that was found wrong, what the chain could not give back."""
    if record.status not in PAID:
        return Usage(record.actual_cost)
    return Usage(record.actual_cost, 1, record.prompt_token_count, record.completion_token_count)


def _answer(charge: Charge, record: Inference, epoch: int) -> KeyAnswer:
    """What is remembered of an answer in case the chain gives its price back (`refunds.py`)."""
    return KeyAnswer(
        inference_id=charge.inference_id,
        key_id=charge.key.id,
        epoch=epoch,
        spent=record.actual_cost,
        prompt_tokens=record.prompt_token_count,
        completion_tokens=record.completion_token_count,
    )
