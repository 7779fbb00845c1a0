"""The parameter presets of `presets/*.yaml`, and the rules that every set of parameters must keep."""

from functools import cache
from importlib import resources
from typing import Any

import yaml
from google.protobuf import json_format

from pivot.protocol.generated.inference.inference.params_pb2 import EpochParams, Params
from pivot.protocol.pricing import MAX_PRICE
from pivot.protocol.sprint import MAX_CHECKED_LEAVES, SPRINT_PRESETS

PRESETS = ("test", "devnet", "mainnet")
LONGEST_GENERATION_SECONDS = 600
"""An inference may take this long; no preset lets it expire earlier."""
LONGEST_EPOCH_BLOCKS = 2**31
MOST_TIMESTAMP_SECONDS = 300
"""By which a request's time stamp may be allowed to lie in the past or in the future."""
GAS_PRICE_DIGITS = 36
LEAST_EPOCHS_KEPT = 2
MOST_EPOCHS_KEPT = 1_000


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
    _check_calendar(params.epoch_params)
    if not 0 < params.validation_params.expiration_blocks <= LONGEST_EPOCH_BLOCKS:
        raise InvalidParameters(f"validation_params.expiration_blocks must be between 1 and {LONGEST_EPOCH_BLOCKS}")
    for name in ("timestamp_expiration", "timestamp_advance"):
        if not 0 <= getattr(params.validation_params, name) <= MOST_TIMESTAMP_SECONDS:
            raise InvalidParameters(f"validation_params.{name} must be between 0 and {MOST_TIMESTAMP_SECONDS}")
    poc = params.poc_params
    if poc.preset not in SPRINT_PRESETS:
        raise InvalidParameters(f"poc_params.preset {poc.preset!r} is none of {', '.join(SPRINT_PRESETS)}")
    if poc.max_rate < 0:
        raise InvalidParameters("poc_params.max_rate must not be below 0")
    if not 0 < poc.sample_size <= MAX_CHECKED_LEAVES:
        raise InvalidParameters(f"poc_params.sample_size must be between 1 and {MAX_CHECKED_LEAVES}")
    if poc.committee_size <= 0:
        raise InvalidParameters("poc_params.committee_size must be above 0")
    if not 0 < params.consensus_power_params.unproven_percent <= 100:
        raise InvalidParameters("consensus_power_params.unproven_percent must be between 1 and 100")
    if params.consensus_power_params.proof_window <= 0:
        raise InvalidParameters("consensus_power_params.proof_window must be above 0")
    if params.reward_params.decay_rate_e18 > 0:
        raise InvalidParameters("reward_params.decay_rate_e18 must not be above 0")
    if not 0 < params.pricing_params.base_per_token_price <= MAX_PRICE:
        raise InvalidParameters(f"pricing_params.base_per_token_price must be between 1 and {MAX_PRICE}")
    price = params.fee_params.minimum_gas_price_e18
    if price and not (price.isascii() and price.isdigit() and len(price) <= GAS_PRICE_DIGITS):
        raise InvalidParameters(
            f"fee_params.minimum_gas_price_e18 must be a number of {GAS_PRICE_DIGITS} digits at most"
        )


def _check_calendar(epoch: EpochParams) -> None:
    """Refuse lengths of blocks that do not fit into one another. Raises InvalidParameters."""
    for name in (
        "epoch_length",
        "epoch_shift",
        "poc_stage_duration",
        "poc_exchange_duration",
        "poc_validation_duration",
        "set_new_validators_delay",
        "randomness_freeze",
    ):
        if not 0 < getattr(epoch, name) <= LONGEST_EPOCH_BLOCKS:
            raise InvalidParameters(f"epoch_params.{name} must be between 1 and {LONGEST_EPOCH_BLOCKS}")
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
    if not 0 <= epoch.inference_validation_cutoff < epoch.epoch_length:
        raise InvalidParameters("epoch_params.inference_validation_cutoff must be shorter than an epoch")
    if not LEAST_EPOCHS_KEPT <= epoch.inference_pruning_epoch_threshold <= MOST_EPOCHS_KEPT:
        raise InvalidParameters(
            "epoch_params.inference_pruning_epoch_threshold must be between "
            f"{LEAST_EPOCHS_KEPT} and {MOST_EPOCHS_KEPT}: claims and late starts need the epoch before"
        )
