"""The page of parameters has every parameter with the value of the public network."""

from collections.abc import Iterator

from google.protobuf.message import Message

from pivot.protocol import decimals
from pivot.protocol.generated.inference.inference.params_pb2 import Decimal, GenesisOnlyParams, Params
from pivot.protocol.parameters import preset_genesis_only_params, preset_params
from tests.docs.pages import page, table

PRESET = "mainnet"
_ASKED = "transfer_agent_access_params"
"""Filled in when somebody asks, from the members."""


def written(value: object) -> str:
    """A parameter as the page writes it."""
    if isinstance(value, Decimal):
        return decimals.text(decimals.fixed_point(value))
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, int | str) else ""


def leaves(params: Message, path: str = "") -> Iterator[tuple[str, str]]:
    """(path, value) of every parameter."""
    for field in params.DESCRIPTOR.fields:
        value = getattr(params, field.name)
        if isinstance(params, Params):
            if field.name != _ASKED:
                yield from leaves(value, f"{field.name}.")
        else:
            yield path + field.name, written(value)


def on_page(text: str) -> dict[str, str]:
    return {row[0].strip("`"): row[1] for row in table(text, "parameter")}


def test_every_parameter_is_on_the_page_with_its_value() -> None:
    assert on_page(page("parameters.md")) == dict(leaves(preset_params(PRESET)))


def test_what_a_genesis_sets_for_good_is_on_the_page_with_its_value() -> None:
    _, for_good = page("parameters.md").split("## For good")
    params: GenesisOnlyParams = preset_genesis_only_params(PRESET)
    assert on_page(for_good) == dict(leaves(params))
