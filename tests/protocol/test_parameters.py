"""Presets, and what no set of parameters may say."""

from decimal import Decimal

import pytest

from pivot.protocol.parameters import (
    LONGEST_GENERATION_SECONDS,
    PRESETS,
    InvalidParameters,
    check_params,
    preset_params,
    timeout_commit,
)
from pivot.protocol.pricing import MAX_PRICE


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_is_valid(preset: str) -> None:
    check_params(preset_params(preset))


@pytest.mark.parametrize("preset", PRESETS)
def test_no_preset_lets_an_inference_expire_before_the_longest_generation(preset: str) -> None:
    pause = Decimal(timeout_commit(preset).removesuffix("ms")) / 1000
    assert preset_params(preset).validation_params.expiration_blocks * pause >= LONGEST_GENERATION_SECONDS


def test_callers_cannot_change_a_preset_for_others() -> None:
    preset_params("test").epoch_params.epoch_length = 1
    assert preset_params("test").epoch_params.epoch_length == 120


def test_an_unknown_preset_is_refused_by_name() -> None:
    with pytest.raises(InvalidParameters, match=r"'moon'.*test, devnet, mainnet"):
        preset_params("moon")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("epoch_params.epoch_length", 0),
        ("epoch_params.epoch_length", 64),
        ("epoch_params.epoch_shift", -1),
        ("epoch_params.poc_stage_duration", 2**40),
        ("epoch_params.poc_exchange_duration", 0),
        ("epoch_params.poc_validation_delay", 4),
        ("epoch_params.poc_validation_duration", 1),
        ("epoch_params.set_new_validators_delay", 0),
        ("epoch_params.randomness_freeze", 0),
        ("epoch_params.previous_epoch_grace", 120),
        ("epoch_params.inference_validation_cutoff", -1),
        ("epoch_params.inference_pruning_epoch_threshold", 1),
        ("epoch_params.inference_pruning_epoch_threshold", 2**63),
        ("validation_params.expiration_blocks", 0),
        ("validation_params.expiration_blocks", 2**63 - 1),
        ("validation_params.timestamp_advance", -1),
        ("validation_params.timestamp_advance", 301),
        ("validation_params.timestamp_expiration", 301),
        ("poc_params.preset", "moon"),
        ("poc_params.max_rate", -1),
        ("poc_params.sample_size", 0),
        ("poc_params.sample_size", 10_001),
        ("poc_params.committee_size", 0),
        ("consensus_power_params.unproven_percent", 0),
        ("consensus_power_params.unproven_percent", 101),
        ("consensus_power_params.proof_window", 0),
        ("reward_params.decay_rate_e18", 1),
        ("pricing_params.base_per_token_price", 0),
        ("pricing_params.base_per_token_price", MAX_PRICE + 1),
        ("fee_params.minimum_gas_price_e18", "0.001"),
        ("fee_params.minimum_gas_price_e18", "-1"),
        ("fee_params.minimum_gas_price_e18", "١"),
        ("fee_params.minimum_gas_price_e18", "1" * 37),
    ],
)
def test_a_parameter_that_would_break_the_network_is_refused_by_name(field: str, value: object) -> None:
    params = preset_params("test")
    part, name = field.split(".")
    setattr(getattr(params, part), name, value)
    with pytest.raises(InvalidParameters, match=name):
        check_params(params)
