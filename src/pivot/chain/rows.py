"""Rows of a module as JSON, for exports: what stands below a key prefix, exactly.

A key is given as hexadecimal digits behind its prefix; a value as its message, or as hexadecimal digits where it is none.
"""

from collections.abc import Mapping
from typing import Any

from google.protobuf import json_format
from google.protobuf.message import Message

from pivot.chain.pagination import prefix_end
from pivot.chain.store.journal import State
from pivot.chain.types import Reader

Kinds = Mapping[str, tuple[bytes, type[Message] | None]]
"""Of one module: name in the export to key prefix, and the message that its values are."""


def export_rows(state: Reader, store: str, kinds: Kinds) -> dict[str, Any]:
    """The rows below the prefixes, in key order."""
    return {
        name: [
            {"key": key[len(prefix) :].hex(), "value": _readable(row, kind)}
            for key, row in state.iterate(store, prefix, prefix_end(prefix))
        ]
        for name, (prefix, kind) in kinds.items()
    }


def load_rows(state: State, store: str, kinds: Kinds, document: Mapping[str, Any]) -> None:
    """Write what `export_rows` gave. Raises ValueError (ParseError is one) for what it cannot have given."""
    if strange := sorted(document.keys() - kinds.keys()):
        raise ValueError(f"the genesis has rows that the module does not know: {', '.join(strange)}")
    for name, rows in document.items():
        prefix, kind = kinds[name]
        for row in rows:
            state.set(store, prefix + bytes.fromhex(row["key"]), _bytes(row["value"], kind))


def _readable(row: bytes, kind: type[Message] | None) -> Any:
    if kind is None:
        return row.hex()
    return json_format.MessageToDict(kind.FromString(row), preserving_proto_field_name=True)


def _bytes(value: Any, kind: type[Message] | None) -> bytes:
    if kind is None:
        return bytes.fromhex(value)
    return bytes(json_format.ParseDict(value, kind()).SerializeToString(deterministic=True))
