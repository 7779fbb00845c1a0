"""A configuration as TOML: the form in which published training scripts take it."""

from __future__ import annotations

import json

from pydantic import JsonValue


def to_toml(config: dict[str, JsonValue]) -> str:
    """The document that `tomllib` reads as `config`. No nulls (`TrainStart` refuses them)."""
    return "".join(f"{_text(key)} = {_value(value)}\n" for key, value in config.items())


def _value(value: JsonValue) -> str:
    """Objects within are inline tables: one line for each field of the configuration."""
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            return _text(value)
        case list():
            return "[" + ", ".join(map(_value, value)) + "]"
        case dict():
            return "{" + ", ".join(f"{_text(key)} = {_value(part)}" for key, part in value.items()) + "}"
        case _:
            return repr(value)


def _text(text: str) -> str:
    """A basic string: JSON's, but for one character that TOML wants escaped, too."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
