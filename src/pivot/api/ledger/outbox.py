"""The durable outbox (`interface.Outbox`): what this host has to say is on disk first, then sent until the chain has it.

Once per block: look what has become of the transactions under way, give up what is too late, send what waits. Starts and
finishes share one MsgRecordInferences. Transactions are unordered and valid for a minute of block time; one that came into
no block by then can come into none any more, so sending its entries again cannot double them.
"""

import asyncio
import logging
import time
from collections import deque
from itertools import count
from typing import Protocol

from google.protobuf.message import Message

from pivot.api.database import Database
from pivot.api.each_moment import EachMoment
from pivot.api.ledger.entries import ENTRIES, Entries, new_row
from pivot.api.ledger.flight import Flight
from pivot.api.ledger.interface import LedgerError, Outcome
from pivot.api.ledger.parcels import (
    MAX_ITEMS,
    Entry,
    fee_for,
    first_batch,
    kind_of,
    message_of,
    verdicts,
)
from pivot.api.ledger.rpc import Broadcaster, Inclusion, Verdict
from pivot.api.ledger.tables import LONGEST_KEY, Kind, State
from pivot.api.ledger.verdicts import USED_TIMEOUT, Meaning, meaning
from pivot.api.ledger.waiters import Waiters
from pivot.api.phases import Moment, Phases
from pivot.primitives.keys import PrivateKey
from pivot.protocol.generated.inference.inference.params_pb2 import Params
from pivot.protocol.messages import pack
from pivot.protocol.transactions import NANOSECONDS, transaction_hash, unordered

LIFETIME_NS = 60 * NANOSECONDS
"""Block time for which a transaction is valid; the chain allows ten minutes."""
MAX_UNDER_WAY = 16
"""Transactions that wait for a block at one time."""
MAX_ALONE = 8
"""Of them, those of messages that travel alone, so that neither kind holds up the other."""
OVERDUE_BLOCKS = 2
"""Blocks after its time-out in which a transaction must be looked for in vain: the engine's index comes a little later."""
REPEAT_BLOCKS = 20
"""A transaction that is in no block after so many is handed to the mempool once more, which may have lost it."""
MAX_ATTEMPTS = 20
"""Refusals that may pass, before the last one is taken as final."""
LONGEST_PAUSE_BLOCKS = 64
PRUNE_BLOCKS = 1_000
FLUSH_SECONDS = 5.0
"""How long the last messages may take on their way to the mempool when the node ends."""
MARKS_KEPT = 4_096
"""Blocks of which is remembered how far the outbox had come."""
ITEMS_KEPT_NS = 6 * 3_600 * NANOSECONDS
OTHERS_KEPT_NS = 14 * 86_400 * NANOSECONDS

_log = logging.getLogger(__name__)


class Accounts(Protocol):
    """What the outbox asks of the chain to sign a transaction (`ledger/chain.py`)."""

    @property
    def chain_id(self) -> str: ...

    async def params(self) -> Params: ...

    async def account_number(self, address: str) -> int | None: ...


class DurableOutbox:
    """The outbox of one account. Only one may run per account."""

    def __init__(
        self, database: Database, key: PrivateKey, accounts: Accounts, rpc: Broadcaster, phases: Phases
    ) -> None:
        self._entries = Entries(database)
        self._writer = database.writer
        self._key = key
        self._accounts = accounts
        self._rpc = rpc
        self._waiters = Waiters()
        self._flights: dict[str, Flight] = {}
        self._sequence = count(1)
        self._last_sequence = 0
        self._last_timeout_ns = 0
        self._account_number: int | None = None
        self._pruned_height = 0
        self._turned_height = 0
        self._phases = phases
        self._marks: deque[tuple[int, float]] = deque(maxlen=MARKS_KEPT)
        """Per block, and at the start: the highest sequence so far, and the monotonic clock."""
        self._each_block = EachMoment("outbox", phases, self.turn)

    async def start(self) -> None:
        """Take up what was under way, and follow the blocks."""
        last_sequence, self._last_timeout_ns = await self._entries.last_marks()
        self._sequence = count(last_sequence + 1)
        self._last_sequence = last_sequence
        self._marks.append((0, time.monotonic()))
        for (name, timeout_ns), entries in (await self._entries.under_way()).items():
            self._flights[name] = Flight(name, timeout_ns, entries)
        self._each_block.start()

    async def close(self) -> None:
        """Hand what still waits to the mempool, without waiting for a block; whatever becomes of that, all of it is on disk."""
        await self._each_block.close()
        await self._writer.flush()
        moment = self._phases.moment
        if moment is None or not moment.synced:
            return
        try:
            async with asyncio.timeout(FLUSH_SECONDS):
                await self._send_waiting(moment)
        except (LedgerError, TimeoutError) as error:
            _log.warning("what waits in the outbox is sent after the next start: %s", error or "no answer in time")

    async def unsettled(self) -> tuple[int, float]:
        """How many entries are not settled yet, and for how many seconds, to about a block, the oldest has been waiting."""
        entries, first = await self._entries.unsettled()
        if not entries:
            return 0, 0.0
        known_since = next((at for sequence, at in reversed(self._marks) if sequence < first), self._marks[0][1])
        return entries, time.monotonic() - known_since

    async def tally(self, prefix: str) -> tuple[int, int]:
        """How many duties with keys that begin so were put here, and how many of them the chain has."""
        return await self._entries.tally(prefix)

    async def put(self, key: str, message: Message, *, deadline_height: int = 0) -> None:
        if not 0 < len(key) <= LONGEST_KEY:
            raise ValueError(f"an outbox key has 1 to {LONGEST_KEY} characters, not {len(key)}")
        self._last_sequence = next(self._sequence)
        kind = kind_of(message)
        row = new_row(key, self._last_sequence, kind, pack(message).SerializeToString(), deadline_height)
        await self._writer.add(ENTRIES, row, hurried=kind is Kind.ALONE)
        _log.debug("%s is in the outbox", key)
        if kind is Kind.ALONE:
            self._each_block.wake()

    async def outcome(self, key: str) -> Outcome | None:
        return await self._entries.outcome(key)

    async def wait(self, key: str, timeout_s: float) -> Outcome | None:
        with self._waiters.future(key) as settled:
            known = await self._entries.outcome(key)
            if known is None or known.done:
                return known
            try:
                async with asyncio.timeout(timeout_s):
                    return await settled
            except TimeoutError:
                return known

    async def turn(self, moment: Moment) -> None:
        """What a block asks for, once; and at any time in it what has to travel alone, since its window may end with the next block.

        Raises LedgerError when the chain node is away; the next turn goes on from there.
        """
        height, now = moment.head.height, moment.head.time_ns
        if height <= self._turned_height:
            await self._send_alone(moment)
            return
        self._marks.append((self._last_sequence, time.monotonic()))
        for flight in list(self._flights.values()):
            await self._look_after(flight, moment)
        self._waiters.tell(await self._entries.expire(height, now))
        await self._send_waiting(moment)
        if height >= self._pruned_height + PRUNE_BLOCKS:
            self._pruned_height = height
            await self._entries.prune(items_before_ns=now - ITEMS_KEPT_NS, others_before_ns=now - OTHERS_KEPT_NS)
        self._turned_height = height

    async def _look_after(self, flight: Flight, moment: Moment) -> None:
        """See whether a transaction is in a block; repeat it if it may be lost; give it up when it cannot come any more."""
        inclusion = await self._rpc.transaction(flight.hash)
        if inclusion is not None:
            await self._included(flight, inclusion, moment)
        elif moment.head.time_ns > flight.timeout_ns:
            flight.overdue += 1
            if flight.overdue > OVERDUE_BLOCKS:
                _log.warning("a transaction with %d messages came into no block in time", len(flight.entries))
                del self._flights[flight.hash]
                await self._entries.put_back(flight.entries, refusal=None, not_before=0)
        elif not flight.arrived or moment.head.height >= flight.sent_height + REPEAT_BLOCKS:
            await self._repeat(flight, moment)

    async def _repeat(self, flight: Flight, moment: Moment) -> None:
        """Hand a transaction to the mempool once more. Signed again after a restart, the same words give the same transaction.

        Unless the account's number or the fee is another now: then it can only be watched until its time is over.
        """
        raw = flight.raw or await self._signed(flight.entries, flight.timeout_ns)
        flight.arrived, flight.sent_height = True, moment.head.height
        if transaction_hash(raw) == flight.hash:
            flight.raw = raw
            await self._broadcast(flight, moment, repeated=True)

    async def _send_waiting(self, moment: Moment) -> None:
        await self._send_alone(moment)
        await self._send_batches(moment)

    async def _send_alone(self, moment: Moment) -> None:
        alone = sum(flight.entries[0].kind is Kind.ALONE for flight in self._flights.values())
        if (room := MAX_ALONE - alone) > 0:
            for entry in await self._entries.waiting(batched=False, height=moment.head.height, limit=room):
                await self._send([entry], moment)

    async def _send_batches(self, moment: Moment) -> None:
        while len(self._flights) < MAX_UNDER_WAY:
            height = moment.head.height
            batch = first_batch(await self._entries.waiting(batched=True, height=height, limit=MAX_ITEMS))
            if not batch:
                return
            await self._send(batch, moment)

    async def _send(self, entries: list[Entry], moment: Moment) -> None:
        """Sign a transaction, note it on disk, hand it over. In this order a crash loses nothing and doubles nothing."""
        timeout_ns = max(moment.head.time_ns + LIFETIME_NS, self._last_timeout_ns + 1)
        raw = await self._signed(entries, timeout_ns)
        self._last_timeout_ns = timeout_ns
        flight = Flight(transaction_hash(raw), timeout_ns, entries, raw, moment.head.height)
        await self._entries.mark_sent(entries, flight.hash, timeout_ns)
        self._flights[flight.hash] = flight
        _log.debug("transaction %s carries %s", flight.hash, ", ".join(entry.key for entry in entries))
        await self._broadcast(flight, moment, repeated=False)

    async def _signed(self, entries: list[Entry], timeout_ns: int) -> bytes:
        price = int((await self._accounts.params()).fee_params.minimum_gas_price_e18 or 0)
        return unordered(
            self._key,
            [message_of(entries, self._key.address)],
            chain_id=self._accounts.chain_id,
            account_number=await self._number(),
            timeout_ns=timeout_ns,
            fee=fee_for(entries, price),
        )

    async def _number(self) -> int:
        """The account's number, asked for once. Raises LedgerError while there is no account."""
        if self._account_number is None:
            self._account_number = await self._accounts.account_number(self._key.address)
            if self._account_number is None:
                raise LedgerError(f"the account {self._key.address} does not exist on the chain yet")
        return self._account_number

    async def _broadcast(self, flight: Flight, moment: Moment, *, repeated: bool) -> None:
        flight.arrived = False  # when nobody answers, it is repeated at the next block
        verdict = await self._rpc.broadcast(flight.raw)
        if verdict.code == 0 or (repeated and USED_TIMEOUT in verdict.log):
            flight.arrived = True
            return
        await self._refused(flight, verdict, moment)

    async def _included(self, flight: Flight, inclusion: Inclusion, moment: Moment) -> None:
        if inclusion.verdict.code != 0:
            await self._refused(flight, inclusion.verdict, moment, height=inclusion.height)
            return
        try:
            each = verdicts(flight.entries, inclusion)
        except LedgerError as error:
            _log.error("%s; its items are taken as settled", error)
            each = [(entry, inclusion.verdict) for entry in flight.entries]
        await self._settle(flight, each, moment, inclusion.height)

    async def _refused(self, flight: Flight, verdict: Verdict, moment: Moment, *, height: int = 0) -> None:
        """A whole transaction was refused: later again, in halves, or for good."""
        entries, kind = flight.entries, meaning(verdict)
        attempts = max(entry.attempts for entry in entries) + 1
        if kind is Meaning.PASSING and attempts < MAX_ATTEMPTS:
            self._account_number = None  # it may be the reason
            del self._flights[flight.hash]
            pause = min(2**attempts, LONGEST_PAUSE_BLOCKS)
            await self._entries.put_back(entries, refusal=verdict, not_before=moment.head.height + pause)
        elif kind is Meaning.FINAL and len(entries) > 1:
            del self._flights[flight.hash]
            half = (len(entries) + 1) // 2
            await self._entries.put_back(entries, refusal=None, not_before=0, batch_limit=half)
        else:
            await self._settle(flight, [(entry, verdict) for entry in entries], moment, height)

    async def _settle(self, flight: Flight, each: list[tuple[Entry, Verdict]], moment: Moment, height: int) -> None:
        settled = []
        for entry, verdict in each:
            if meaning(verdict) is Meaning.GOOD:
                settled.append((entry.key, State.DONE, Verdict(0, log=verdict.log)))
            else:
                _log.warning("the chain refused %s: %s (code %d)", entry.key, verdict.log, verdict.code)
                settled.append((entry.key, State.REFUSED, verdict))
        outcomes = await self._entries.settle(settled, height=height, time_ns=moment.head.time_ns)
        self._flights.pop(flight.hash, None)
        self._waiters.tell(outcomes)
