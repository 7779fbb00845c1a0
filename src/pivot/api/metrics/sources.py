"""What the node's parts have to tell, read where it is kept."""

import time
from collections import Counter
from collections.abc import Iterable, Sequence
from importlib.metadata import version
from typing import Protocol

from sqlalchemy import case, func, select

from pivot.api.database import Database
from pivot.api.fleet.fleet import NodeReport
from pivot.api.fleet.interface import Duty, FleetNode, Generate, Serve, Stop, Train, Validate
from pivot.api.http.wrong_tokens import WrongTokens
from pivot.api.identity import Identity
from pivot.api.ledger.interface import Chain, Head
from pivot.api.ledger.outbox import DurableOutbox
from pivot.api.metrics import figures
from pivot.api.metrics.page import Sample, Source
from pivot.api.phases import Phases
from pivot.api.readiness.checks import Readiness
from pivot.api.validation.tables import Check, Kind, State
from pivot.protocol.epochs import Phase

NANOSECONDS = 10**9
DOES: dict[type[Duty], str] = {
    Serve: "serving",
    Generate: "generating",
    Validate: "validating",
    Train: "training",
    Stop: "resting",
}
"""A node's state by the duty that it is seen fulfilling."""
NODE_STATES = (*DOES.values(), "changing", "failing", "unreachable")
DUTIES = {
    "poc-commit": "poc-commit:",
    "poc-vote": "poc-votes:",
    "reveal": "reveal:",
    "claim": "claim:",
}
"""Kinds of duty, and how the keys of their entries in the outbox begin."""

POC_CHECK = "poc-check"
"""Kind of duty: to check a host's proof of compute."""
CHECKS = {Kind.DUTY: "check", Kind.VOTE: "dispute-vote"}
"""Kinds of duty by the kind of a check."""


class Fleet(Protocol):
    """What is asked of the fleet (`fleet/fleet.py`)."""

    @property
    def waiting(self) -> int: ...

    def reports(self) -> Sequence[NodeReport]: ...


class PocChecks(Protocol):
    """What is asked of the checker (`poc/checker.py`)."""

    @property
    def tally(self) -> tuple[int, int]: ...


class Line(Protocol):
    """What is asked of the public port (`http/public.py`)."""

    @property
    def waiting(self) -> int: ...


class Heads(Protocol):
    """What is asked of the follower (`ledger/follower.py`)."""

    @property
    def newest(self) -> Head | None: ...

    @property
    def synced(self) -> bool: ...


def of_host(identity: Identity, readiness: Readiness) -> Source:
    """Who this is, and whether it can serve."""

    async def source() -> Iterable[Sample]:
        return [
            (figures.INFO, (version("pivot"), identity.address), 1),
            (figures.READY, (), int(not await readiness.reasons())),
        ]

    return source


def of_fleet(fleet: Fleet, line: Line) -> Source:
    """What the ML nodes do, and who waits for them."""

    async def source() -> Iterable[Sample]:
        reports = fleet.reports()
        states = Counter(state_of(report.view) for report in reports)
        return [
            (figures.REQUESTS_WAITING, ("turn",), line.waiting),
            (figures.REQUESTS_WAITING, ("node",), fleet.waiting),
            *((figures.NODES, (state,), states[state]) for state in NODE_STATES),
            *((figures.NODE_REQUESTS, (report.view.id,), report.leases) for report in reports),
        ]

    return source


def of_guarded_ports(ports: Sequence[WrongTokens]) -> Source:
    """How often somebody has tried a wrong token."""

    async def source() -> Iterable[Sample]:
        return [(figures.WRONG_TOKENS, (port.port,), port.count) for port in ports]

    return source


def of_outbox(outbox: DurableOutbox) -> Source:
    """What waits for the chain, and which duties are done."""

    async def source() -> Iterable[Sample]:
        entries, age_s = await outbox.unsettled()
        samples: list[Sample] = [(figures.OUTBOX_ENTRIES, (), entries), (figures.OUTBOX_AGE, (), age_s)]
        for kind, prefix in DUTIES.items():
            due, done = await outbox.tally(prefix)
            samples += [(figures.DUTIES_DUE, (kind,), due), (figures.DUTIES_DONE, (kind,), done)]
        return samples

    return source


def of_poc_checks(checker: PocChecks) -> Source:
    """Hosts whose proof of compute this host must check, of the last sprint."""

    async def source() -> Iterable[Sample]:
        due, done = checker.tally
        return [(figures.DUTIES_DUE, (POC_CHECK,), due), (figures.DUTIES_DONE, (POC_CHECK,), done)]

    return source


def of_checks(database: Database) -> Source:
    """Answers that this host must check, or vote on, as far as its queue remembers them."""

    async def source() -> Iterable[Sample]:
        done = case((Check.state == State.DONE, 1), else_=0)
        statement = select(Check.kind, func.count(), func.sum(done)).group_by(Check.kind)
        async with database.session() as session:
            tallies = {kind: (due, int(told)) for kind, due, told in (await session.execute(statement)).all()}
        samples: list[Sample] = []
        for kind, name in CHECKS.items():
            due, told = tallies.get(kind, (0, 0))
            samples += [(figures.DUTIES_DUE, (name,), due), (figures.DUTIES_DONE, (name,), told)]
        return samples

    return source


def of_chain(heads: Heads, phases: Phases) -> Source:
    """Where the network stands, and how far this node is behind it."""

    async def source() -> Iterable[Sample]:
        moment = phases.moment
        samples: list[Sample] = [(figures.SYNCED, (), int(heads.synced))]
        if moment is None:
            return samples
        newest = heads.newest or moment.head
        return [
            *samples,
            (figures.HEIGHT, (), moment.head.height),
            (figures.LAG_BLOCKS, (), max(0, newest.height - moment.head.height)),
            (figures.BLOCK_AGE, (), (time.time_ns() - moment.head.time_ns) / NANOSECONDS),
            (figures.EPOCH, (), moment.effective.index),
            *((figures.PHASE, (str(phase),), int(phase == moment.phase)) for phase in Phase),
        ]

    return source


def of_accounts(identity: Identity, chain: Chain, phases: Phases) -> Source:
    """What the chain has of this host."""

    async def source() -> Iterable[Sample]:
        samples: list[Sample] = [
            (figures.BALANCE, (account,), await chain.balance(address))
            for account, address in (("host", identity.address), ("gateway", identity.gateway.address))
        ]
        moment = phases.moment
        if moment is not None:
            group = await chain.epoch_group(moment.effective.index) if moment.effective.index else None
            members = group.validation_weights if group else ()
            weight = sum(member.weight for member in members if member.member_address == identity.address)
            samples.append((figures.WEIGHT, (), weight))
        return samples

    return source


def state_of(node: FleetNode) -> str:
    """One of NODE_STATES."""
    if not node.reachable:
        return "unreachable"
    if node.duty is None or not node.fulfils:
        return "changing"
    if node.failing:
        return "failing"
    return DOES[type(node.duty)]
