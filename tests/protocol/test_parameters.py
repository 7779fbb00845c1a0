"""Presets, and what no set of parameters may say."""

from decimal import Decimal

import pytest

from pivot.primitives import bech32
from pivot.protocol.generated.inference.inference.params_pb2 import Decimal as Number
from pivot.protocol.parameters import (
    LONGEST_GENERATION_SECONDS,
    MOST_GUARDIANS,
    PRESETS,
    InvalidParameters,
    check_genesis_only_params,
    check_params,
    preset_genesis_only_params,
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
        ("poc_params.committee_size", 101),
        ("consensus_power_params.unproven_percent", 0),
        ("consensus_power_params.unproven_percent", 101),
        ("consensus_power_params.proof_window", 0),
        ("consensus_power_params.proof_window", 100_001),
        ("reward_params.decay_rate_e18", 1),
        ("dynamic_pricing_params.base_per_token_price", 0),
        ("dynamic_pricing_params.base_per_token_price", MAX_PRICE + 1),
        ("fee_params.minimum_gas_price_e18", "0.001"),
        ("fee_params.minimum_gas_price_e18", "-1"),
        ("fee_params.minimum_gas_price_e18", "١"),
        ("fee_params.minimum_gas_price_e18", "1" * 37),
        ("validation_params.min_ramp_up_measurements", 0),
        ("validation_params.full_validation_traffic_cutoff", 1),
        ("validation_params.full_validation_traffic_cutoff", 2**31 + 1),
        ("validation_params.min_validation_traffic_cutoff", -1),
        ("validation_params.min_validation_traffic_cutoff", 5000),
        ("validation_params.epochs_to_max", 0),
        ("validation_params.dispute_duration", 0),
        ("validation_params.dispute_duration", 121),
        ("tokenomics_params.work_vesting_period", 1_001),
        ("tokenomics_params.reward_vesting_period", 2**63),
        ("collateral_params.unbonding_period_epochs", 0),
        ("dynamic_pricing_params.utilization_window_duration", 0),
        ("dynamic_pricing_params.utilization_window_duration", 3_601),
        ("dynamic_pricing_params.min_per_token_price", 0),
        ("dynamic_pricing_params.grace_period_per_token_price", 0),
        ("training_params.task_deposit", 2**63),
        ("training_params.task_blocks", 10**6 + 1),
        ("training_params.assignment_blocks", 0),
        ("training_params.join_blocks", 61),
        ("training_params.heartbeat_blocks", 0),
        ("training_params.heartbeat_interval", 7),
    ],
)
def test_a_parameter_that_would_break_the_network_is_refused_by_name(field: str, value: object) -> None:
    params = preset_params("test")
    part, name = field.split(".")
    setattr(getattr(params, part), name, value)
    with pytest.raises(InvalidParameters, match=name):
        check_params(params)


@pytest.mark.parametrize(
    ("field", "value", "exponent"),
    [
        ("validation_params.false_positive_rate", 0, 0),
        ("validation_params.false_positive_rate", 6, -1),
        ("validation_params.fraud_rate", 1, -2),
        ("validation_params.fraud_rate", 1, 0),
        ("validation_params.test_error", 0, 0),
        ("validation_params.test_error", 1, -19),
        ("validation_params.min_validation_average", 2, 0),
        ("validation_params.max_validation_average", 9, -3),
        ("validation_params.max_validation_average", 101, 0),
        ("validation_params.min_validation_halfway", 9, -3),
        ("validation_params.miss_percentage_cutoff", 11, -1),
        ("validation_params.miss_requests_penalty", -1, 0),
        ("validation_params.missing_duties_allowed", 2, 0),
        ("collateral_params.slash_fraction_invalid", 11, -1),
        ("collateral_params.slash_fraction_downtime", -1, -1),
        ("collateral_params.downtime_missed_percentage_threshold", 2, 0),
        ("collateral_params.base_weight_ratio", 2, 0),
        ("collateral_params.collateral_per_weight_unit", -1, 0),
        ("collateral_params.collateral_per_weight_unit", 1, 13),
        ("dynamic_pricing_params.stability_zone_lower_bound", 11, -1),
        ("dynamic_pricing_params.stability_zone_upper_bound", 11, -1),
        ("dynamic_pricing_params.price_elasticity", 0, 0),
        ("dynamic_pricing_params.price_elasticity", 1, 0),
        ("dynamic_pricing_params.price_elasticity", 1, 99),
    ],
)
def test_a_decimal_that_would_break_the_network_is_refused_by_name(field: str, value: int, exponent: int) -> None:
    params = preset_params("test")
    part, name = field.split(".")
    getattr(getattr(params, part), name).CopyFrom(Number(value=value, exponent=exponent))
    with pytest.raises(InvalidParameters, match=name):
        check_params(params)


def test_a_zone_of_utilisation_does_not_end_before_it_begins() -> None:
    params = preset_params("mainnet")
    params.dynamic_pricing_params.stability_zone_lower_bound.CopyFrom(Number(value=7, exponent=-1))
    with pytest.raises(InvalidParameters, match="must not be below"):
        check_params(params)


def test_a_decimal_must_be_given() -> None:
    params = preset_params("test")
    params.collateral_params.ClearField("base_weight_ratio")
    with pytest.raises(InvalidParameters, match=r"collateral_params\.base_weight_ratio must be given"):
        check_params(params)


@pytest.mark.parametrize("preset", PRESETS)
def test_what_every_preset_sets_for_good_is_valid(preset: str) -> None:
    check_genesis_only_params(preset_genesis_only_params(preset))


def test_guardians_are_operators_each_named_once() -> None:
    params = preset_genesis_only_params("mainnet")
    operators = [bech32.encode("gonkavaloper", bytes([number] * 20)) for number in range(MOST_GUARDIANS + 1)]
    params.genesis_guardian_addresses.extend(operators[:MOST_GUARDIANS])
    check_genesis_only_params(params)
    for wrong in (operators, operators[:1] * 2, [bech32.encode("gonka", bytes(20))]):
        params.ClearField("genesis_guardian_addresses")
        params.genesis_guardian_addresses.extend(wrong)
        with pytest.raises(InvalidParameters, match="genesis_guardian_addresses"):
            check_genesis_only_params(params)


@pytest.mark.parametrize(
    ("name", "value"), [("max_individual_power_percentage", 2), ("genesis_guardian_multiplier", 11)]
)
def test_what_no_network_could_live_with_is_refused_by_name(name: str, value: int) -> None:
    params = preset_genesis_only_params("mainnet")
    getattr(params, name).CopyFrom(Number(value=value))
    with pytest.raises(InvalidParameters, match=rf"genesis_only_params\.{name}"):
        check_genesis_only_params(params)


def test_a_network_without_training_needs_none_of_its_lengths() -> None:
    params = preset_params("test")
    params.training_params.Clear()
    check_params(params)
