"""Statistics in an export."""

from typing import Any

from google.protobuf import json_format

from pivot.chain.modules.epochs.state import epoch_key
from pivot.chain.modules.statistics.state import (
    BY_DEVELOPER,
    BY_MINUTE,
    BY_MODEL,
    Totals,
    all_answers,
    put_answer,
    put_totals,
    totals_between,
)
from pivot.chain.types import Block, Reader
from pivot.primitives.numbers import MAX_INT64
from pivot.protocol.generated.inference.inference.types_pb2 import DeveloperStatsByTime

_KINDS = {"developers": BY_DEVELOPER, "models": BY_MODEL, "minutes": BY_MINUTE}


def load(block: Block, document: dict[str, Any]) -> None:
    """Take the rows of answers and the totals."""
    for entry in document.get("answers", []):
        answer = json_format.ParseDict(entry["stats"], DeveloperStatsByTime())
        put_answer(block.state, entry["developer"], answer)
    for kind, prefix in _KINDS.items():
        for index, name, *numbers in document.get(kind, []):
            put_totals(block.state, epoch_key(prefix, int(index), name), Totals(*(int(number) for number in numbers)))


def export(state: Reader) -> dict[str, Any]:
    """The section that `load` turns into the same rows. Totals: epoch or minute, name, tokens, answers, ngonka."""
    listed = [
        {"developer": developer, "stats": json_format.MessageToDict(answer, preserving_proto_field_name=True)}
        for developer, answer in all_answers(state)
    ]
    return {"answers": listed} | {
        kind: [
            [str(index), name, *(str(number) for number in found)]
            for index, name, found in totals_between(state, prefix, 0, MAX_INT64)
        ]
        for kind, prefix in _KINDS.items()
    }
