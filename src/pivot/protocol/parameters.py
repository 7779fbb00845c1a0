"""The parameter presets of `presets/*.yaml`, and the rules that every set of parameters must keep."""

from functools import cache
from importlib import resources
from typing import Any

import yaml
from google.protobuf import json_format

from pivot.protocol.generated.inference.inference.params_pb2 import Params

PRESETS = ("test", "devnet", "mainnet")
LONGEST_GENERATION_SECONDS = 600
"""An inference may take this long; no preset lets it expire earlier."""


class InvalidParameters(ValueError):
    """A set of parameters that would break the network; the sentence names the field."""


@cache
def _document(preset: str) -> dict[str, Any]:
    if preset not in PRESETS:
        raise InvalidParameters(f"there is no preset {preset!r}; known are {', '.join(PRESETS)}")
    text = resources.files("pivot.protocol").joinpath("presets", f"{preset}.yaml").read_text()
    document: dict[str, Any] = yaml.safe_load(text)
    return document


def preset_params(preset: str) -> Params:
    """The chain parameters of a preset. Raises InvalidParameters for an unknown name."""
    params = json_format.ParseDict(_document(preset)["params"], Params())
    check_params(params)
    return params


def timeout_commit(preset: str) -> str:
    """The engine's pause between blocks, in its own notation (`200ms`)."""
    return str(_document(preset)["timeout_commit"])


def check_params(params: Params) -> None:
    """Refuse parameters that contradict each other. Raises InvalidParameters."""
    epoch = params.epoch_params
    for name in (
        "epoch_length",
        "epoch_shift",
        "poc_stage_duration",
        "poc_exchange_duration",
        "poc_validation_duration",
        "set_new_validators_delay",
        "randomness_freeze",
    ):
        if getattr(epoch, name) <= 0:
            raise InvalidParameters(f"epoch_params.{name} must be above 0")
    if epoch.poc_validation_delay < epoch.poc_exchange_duration:
        raise InvalidParameters("epoch_params.poc_validation_delay must not be below poc_exchange_duration")
    if epoch.poc_validation_duration < 2:
        raise InvalidParameters("epoch_params.poc_validation_duration must leave room for vote hashes and votes")
    sprint = (
        epoch.poc_stage_duration
        + epoch.poc_validation_delay
        + epoch.poc_validation_duration
        + epoch.set_new_validators_delay
    )
    if sprint + epoch.randomness_freeze >= epoch.epoch_length:
        raise InvalidParameters("epoch_params.epoch_length must be longer than the sprint, its checks and the freeze")
    if not 0 <= epoch.previous_epoch_grace < epoch.epoch_length:
        raise InvalidParameters("epoch_params.previous_epoch_grace must be shorter than an epoch")
    if params.validation_params.expiration_blocks <= 0:
        raise InvalidParameters("validation_params.expiration_blocks must be above 0")
    if params.poc_params.sample_size <= 0 or params.poc_params.committee_size <= 0:
        raise InvalidParameters("poc_params.sample_size and committee_size must be above 0")
    if not 0 < params.consensus_power_params.unproven_percent <= 100:
        raise InvalidParameters("consensus_power_params.unproven_percent must be between 1 and 100")
    if params.consensus_power_params.proof_window <= 0:
        raise InvalidParameters("consensus_power_params.proof_window must be above 0")
    if params.reward_params.decay_rate_e18 > 0:
        raise InvalidParameters("reward_params.decay_rate_e18 must not be above 0")
