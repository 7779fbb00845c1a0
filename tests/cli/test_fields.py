"""How values are written on the command line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cosmpy.protos  # noqa: F401
import pytest
import typer
from cosmos.gov.v1.gov_pb2 import Params as GovParams
from cosmos.staking.v1beta1.staking_pb2 import Validator
from google.protobuf import json_format

from pivot.cli.fields import Field, parse_coins
from pivot.cli.names import Name, by_module, kebab
from pivot.protocol.generated.inference.inference.params_pb2 import Params, ValidationParams
from pivot.protocol.generated.inference.inference.tx_pb2 import MsgRevealElement
from pivot.protocol.generated.inference.inference.types_pb2 import Model


def read(kind: Any, name: str, text: str) -> Any:
    message = kind()
    Field(kind.DESCRIPTOR.fields_by_name[name]).put(message, text, str)
    return json_format.MessageToDict(message, preserving_proto_field_name=True).get(name)


@pytest.mark.parametrize(
    ("kind", "name", "text", "value"),
    [
        (GovParams, "voting_period", "3600", "3600s"),
        (GovParams, "voting_period", "0.5s", "0.500s"),
        (
            GovParams,
            "min_deposit",
            "1_000ngonka, 5stake",
            [{"amount": "1000", "denom": "ngonka"}, {"amount": "5", "denom": "stake"}],
        ),
        (GovParams, "quorum", "0.334", "0.334"),
        (Validator, "unbonding_time", "1900000000", "2030-03-17T17:46:40Z"),
        (Validator, "unbonding_time", "2030-03-17T17:46:40Z", "2030-03-17T17:46:40Z"),
        (Validator, "status", "bonded", "BOND_STATUS_BONDED"),
        (Validator, "min_self_delegation", "7", "7"),
        (Validator, "unbonding_height", "1_000", "1000"),
        (Model, "validation_threshold", "0.98", {"value": "98", "exponent": -2}),
        (Model, "validation_threshold", "-1", {"value": "-1"}),
        (Model, "model_args", "--quantization, fp8", ["--quantization", "fp8"]),
        (Params, "epoch_params", '{"epoch_length": "600"}', {"epoch_length": "600"}),
        (MsgRevealElement, "element", "0xfbff", "+/8="),
        (MsgRevealElement, "element", "+/8=", "+/8="),
    ],
)
def test_each_kind_has_its_form(kind: Any, name: str, text: str, value: Any) -> None:
    assert read(kind, name, text) == value


@pytest.mark.parametrize(
    ("kind", "name", "text"),
    [
        (GovParams, "voting_period", "soon"),
        (GovParams, "min_deposit", "ngonka"),
        (GovParams, "min_deposit", "-1ngonka"),
        (Validator, "unbonding_time", "tomorrow"),
        (Validator, "status", "sleeping"),
        (Validator, "unbonding_height", "high"),
        (Validator, "unbonding_height", "9" * 30),
        (Model, "validation_threshold", "half"),
        (Params, "epoch_params", "{"),
        (Params, "epoch_params", '{"nonesuch": 1}'),
        (Params, "epoch_params", "@/nonesuch"),
        (MsgRevealElement, "element", "0xzz"),
        (MsgRevealElement, "element", "%"),
        (ValidationParams, "min_ramp_up_measurements", "1.5"),
    ],
)
def test_what_cannot_be_read_names_the_option(kind: Any, name: str, text: str) -> None:
    with pytest.raises(typer.BadParameter) as told:
        read(kind, name, text)
    assert told.value.param_hint == f"--{kebab(name)}"


def test_json_may_stand_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "params.json").write_text('{"epoch_length": "600"}')
    assert read(Params, "epoch_params", f"@{tmp_path / 'params.json'}") == {"epoch_length": "600"}


def test_coins_are_read_as_people_write_them() -> None:
    assert parse_coins("") == []
    assert parse_coins("007ngonka") == [{"amount": "7", "denom": "ngonka"}]


def test_of_two_versions_the_newest_has_the_plain_name() -> None:
    named = [
        (Name("gov", "vote", f"cosmos.gov.{version}"), version) for version in ("v1beta1", "v1", "v1alpha2", "v2beta1")
    ]
    found = by_module([*named, (Name("gov", "vote", "gov"), "none")])
    assert found == {
        "gov": {
            "vote-old": "none",
            "vote": "v2beta1",
            "vote-v1": "v1",
            "vote-v1beta1": "v1beta1",
            "vote-v1alpha2": "v1alpha2",
        }
    }


def test_names_are_in_small_letters() -> None:
    assert kebab("newOrModified") == "new-or-modified"
    assert kebab("DenomOwnersByQuery") == "denom-owners-by-query"
    assert kebab("ABCIQuery") == "abci-query"
