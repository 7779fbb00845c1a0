"""What hosts have done, are owed and were paid, in an export."""

from typing import Any

from google.protobuf import json_format
from google.protobuf.message import Message

from pivot.chain.modules.rewards.state import (
    all_stats,
    put_settle_amount,
    put_settlement,
    put_stats,
    put_summary,
    settle_amounts,
    settlement,
    summaries,
)
from pivot.chain.modules.rewards.totals import put_tokenomics, tokenomics
from pivot.chain.types import Block, Reader
from pivot.protocol.generated.inference.inference.types_pb2 import (
    CurrentEpochStats,
    EpochPerformanceSummary,
    SettleAmount,
    Settlement,
    TokenomicsData,
)


def load(block: Block, document: dict[str, Any]) -> None:
    """Take the rows of the module."""
    state = block.state
    for entry in document.get("epoch_stats", []):
        done = json_format.ParseDict(entry["stats"], CurrentEpochStats())
        put_stats(state, int(entry["epoch_index"]), entry["participant"], done)
    for entry in document.get("settle_amounts", []):
        put_settle_amount(state, json_format.ParseDict(entry, SettleAmount()))
    for entry in document.get("epoch_performance_summaries", []):
        put_summary(state, json_format.ParseDict(entry, EpochPerformanceSummary()))
    put_tokenomics(state, json_format.ParseDict(document.get("tokenomics_data", {}), TokenomicsData()))
    if "settlement" in document:
        put_settlement(state, json_format.ParseDict(document["settlement"], Settlement()))


def export(state: Reader) -> dict[str, Any]:
    """The section that `load` turns into the same rows."""
    under_way = settlement(state)
    return {
        "epoch_stats": [
            {"epoch_index": str(epoch), "participant": host, "stats": _document(done)}
            for epoch, host, done in all_stats(state)
        ],
        "settle_amounts": [_document(each) for each in settle_amounts(state)],
        "epoch_performance_summaries": [_document(each) for each in summaries(state)],
        "tokenomics_data": _document(tokenomics(state)),
    } | ({} if under_way is None else {"settlement": _document(under_way)})


def _document(message: Message) -> dict[str, Any]:
    return json_format.MessageToDict(message, preserving_proto_field_name=True)
