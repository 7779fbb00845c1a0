"""The fleet as the admin port lists it, in the published shape."""

import logging
from datetime import UTC, datetime
from typing import Any

from pivot.api.fleet.fleet import NodeReport
from pivot.api.fleet.interface import Generate, Serve, Stop, Train, Validate
from pivot.api.fleet.observation import Observation
from pivot.api.http.plain import plain
from pivot.api.ledger.interface import Chain, LedgerError
from pivot.protocol.generated.inference.inference.types_pb2 import EpochGroupData
from pivot.protocol.mlnode_api import Mode, PowState

UNKNOWN, INFERENCE, POC, TRAINING, STOPPED, FAILED = "UNKNOWN", "INFERENCE", "POC", "TRAINING", "STOPPED", "FAILED"
IDLE, GENERATING, VALIDATING = "IDLE", "GENERATING", "VALIDATING"
NS_PER_S = 10**9

log = logging.getLogger(__name__)


async def listed_nodes(chain: Chain, address: str, reports: list[NodeReport]) -> list[dict[str, Any]]:
    """Every node with its state, and with what the effective epoch has given it if the chain can be asked."""
    try:
        groups = await _model_groups(chain)
    except LedgerError as error:
        log.info("nodes are listed without what the chain knows of them: %s", error)
        groups = []
    return [listed_node(report, address, groups) for report in reports]


def listed_node(report: NodeReport, address: str, groups: list[EpochGroupData]) -> dict[str, Any]:
    """One element of the list."""
    registered = report.registered
    intended, intended_poc = _intended(report)
    current, current_poc = _current(report)
    state: dict[str, Any] = {
        "intended_status": intended,
        "current_status": current,
        "poc_intended_status": intended_poc,
        "poc_current_status": current_poc,
        "lock_count": report.leases,
        "failure_reason": report.failure_reason,
        "warnings": list(report.warnings),
        "status_timestamp": _timestamp(report.seen_at_ns),
        "admin_state": {"enabled": registered.enabled, "epoch": registered.changed_in_epoch},
        "epoch_models": _epoch_models(report, address, groups),
        "epoch_ml_nodes": _epoch_ml_nodes(report, address, groups),
    }
    if report.seen and report.seen.proof:
        state["poc"] = report.seen.proof.model_dump(mode="json", exclude_none=True)
    if report.starting:
        state["inference"] = report.starting.model_dump(mode="json", exclude_none=True)
    if training := report.view.training:
        state["training_task"] = training.model_dump(exclude_none=True)
    if report.view.duty is not None and not report.view.fulfils:
        state["reconcile_info"] = {"status": intended, "poc_status": intended_poc}
    return {
        "node": {**registered.declaration.model_dump(), "node_num": registered.node_number},
        "state": state,
    }


def _intended(report: NodeReport) -> tuple[str, str]:
    match report.view.duty:
        case Serve():
            return INFERENCE, IDLE
        case Generate():
            return POC, GENERATING
        case Validate():
            return POC, VALIDATING
        case Train():
            return TRAINING, IDLE
        case Stop():
            return STOPPED, IDLE
    return UNKNOWN, IDLE


def _current(report: NodeReport) -> tuple[str, str]:
    seen = report.seen
    if not report.view.reachable or seen is None:
        return (FAILED if report.failure_reason else UNKNOWN), IDLE
    if report.failure_reason and (report.view.failing or not report.view.fulfils):
        return FAILED, _current_poc(seen)
    if seen.mode == Mode.INFERENCE:
        return (INFERENCE if seen.healthy else UNKNOWN), IDLE
    return {Mode.POW: POC, Mode.TRAIN: TRAINING, Mode.STOPPED: STOPPED}[seen.mode], _current_poc(seen)


def _current_poc(seen: Observation) -> str:
    status = seen.proof.status if seen.proof else None
    return {PowState.GENERATING: GENERATING, PowState.VALIDATING: VALIDATING}.get(status, IDLE) if status else IDLE


def _timestamp(time_ns: int) -> str:
    return datetime.fromtimestamp(time_ns / NS_PER_S, UTC).isoformat().replace("+00:00", "Z")


async def _model_groups(chain: Chain) -> list[EpochGroupData]:
    """The groups of the effective epoch's models."""
    epoch = (await chain.epoch_info()).effective_epoch.index
    whole = await chain.epoch_group(epoch)
    groups = [await chain.epoch_group(epoch, model) for model in (whole.sub_group_models if whole else [])]
    return [group for group in groups if group is not None]


def _epoch_models(report: NodeReport, address: str, groups: list[EpochGroupData]) -> dict[str, Any]:
    given = _epoch_ml_nodes(report, address, groups)
    return {group.model_id: plain(group.model_snapshot) for group in groups if group.model_id in given}


def _epoch_ml_nodes(report: NodeReport, address: str, groups: list[EpochGroupData]) -> dict[str, Any]:
    number = report.registered.node_number
    return {
        group.model_id: plain(node)
        for group in groups
        for member in group.validation_weights
        if member.member_address == address
        for node in member.ml_nodes
        if node.node_number == number
    }
