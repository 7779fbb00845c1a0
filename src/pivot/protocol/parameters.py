"""The parameter presets of `presets/*.yaml`, and the rules that every set of parameters must keep."""

from functools import cache
from importlib import resources
from typing import Any

import yaml
from google.protobuf import json_format
from google.protobuf.message import Message

from pivot.primitives import bech32
from pivot.primitives.addresses import OPERATOR_PREFIX
from pivot.primitives.numbers import MAX_INT64
from pivot.protocol.decimals import InvalidDecimal, fixed_point, parse
from pivot.protocol.generated.inference.inference.params_pb2 import EpochParams, GenesisOnlyParams, Params
from pivot.protocol.pricing import MAX_PRICE
from pivot.protocol.sprint import MAX_CHECKED_LEAVES, SPRINT_PRESETS

PRESETS = ("test", "devnet", "mainnet")
LONGEST_GENERATION_SECONDS = 600
"""An inference may take this long; no preset lets it expire earlier."""
LONGEST_EPOCH_BLOCKS = 2**31
MOST_TIMESTAMP_SECONDS = 300
"""By which a request's time stamp may be allowed to lie in the past or in the future."""
GAS_PRICE_DIGITS = 36
MOST_FREE_GAS = 2**40
LEAST_EPOCHS_KEPT = 2
MOST_EPOCHS_KEPT = 1_000
MOST_ANSWERS = 2**31
"""Of an epoch, or of one host, that a parameter may speak of."""
MOST_CHECKS_OF_AN_ANSWER = "100"
MOST_MISS_PENALTY = "1000"
MOST_REPUTATION_EPOCHS = 10_000
MOST_VESTING_EPOCHS = 1_000
MOST_UNBONDING_EPOCHS = 1_000
MOST_COLLATERAL_PER_WEIGHT = "1000000000000"
"""ngonka; a whole supply of collateral then still backs a weight of a million."""
LONGEST_PRICE_WINDOW_SECONDS = 3_600
MOST_CHECKERS = 100
"""Of one host's proof of compute: all committees are drawn, and all votes counted, in the blocks of one sprint."""
LONGEST_PROOF_BLOCKS = 100_000
"""A key that could never prove itself would leave all power to those that have."""
LONGEST_TASK_BLOCKS = 10**6
MOST_GUARDIANS = 100
MOST_GUARDIAN_MULTIPLIER = "10"
LEAST_OF_A_FRACTION = "0.000001"


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


def preset_genesis_only_params(preset: str) -> GenesisOnlyParams:
    """What a preset's genesis sets for good. Raises InvalidParameters for an unknown name."""
    params = json_format.ParseDict(_document(preset)["genesis_only_params"], GenesisOnlyParams())
    check_genesis_only_params(params)
    return params


def timeout_commit(preset: str) -> str:
    """The engine's pause between blocks, in its own notation (`200ms`)."""
    return str(_document(preset)["timeout_commit"])


def check_params(params: Params) -> None:
    """Refuse parameters that contradict each other, or that a module could not work with. Raises InvalidParameters."""
    _check_calendar(params.epoch_params)
    _check_validation(params)
    _check_sprint(params)
    _check_rewards(params)
    _check_vesting(params)
    _check_collateral(params)
    _check_pricing(params)
    _check_consensus_power(params)
    _check_fees(params)
    _check_training(params)


def check_genesis_only_params(params: GenesisOnlyParams) -> None:
    """Refuse what a network could not live with for ever. Raises InvalidParameters."""
    if params.HasField("max_individual_power_percentage"):
        _decimal_within(params, "max_individual_power_percentage", "0", "1")
    if params.genesis_guardian_enabled:
        _within(params, "genesis_guardian_network_maturity_threshold", 0, MAX_INT64)
        _decimal_within(params, "genesis_guardian_multiplier", "0", MOST_GUARDIAN_MULTIPLIER)
    guardians = params.genesis_guardian_addresses
    if len(guardians) > MOST_GUARDIANS or len(set(guardians)) != len(guardians):
        raise InvalidParameters(
            f"genesis_only_params.genesis_guardian_addresses: {MOST_GUARDIANS} at most, none of them twice"
        )
    for guardian in guardians:
        try:
            bech32.decode(guardian, OPERATOR_PREFIX)
        except bech32.InvalidBech32 as error:
            raise InvalidParameters(f"genesis_only_params.genesis_guardian_addresses: {error}") from None


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
        _within(epoch, name, 1, LONGEST_EPOCH_BLOCKS)
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


def _check_validation(params: Params) -> None:
    """How answers are checked and hosts judged. Raises InvalidParameters."""
    part = params.validation_params
    _within(part, "expiration_blocks", 1, LONGEST_EPOCH_BLOCKS)
    for name in ("timestamp_expiration", "timestamp_advance"):
        _within(part, name, 0, MOST_TIMESTAMP_SECONDS)

    honest = _decimal_within(part, "false_positive_rate", LEAST_OF_A_FRACTION, "0.5")
    if _decimal_within(part, "fraud_rate", LEAST_OF_A_FRACTION, "0.999999") <= honest:
        raise InvalidParameters("validation_params.fraud_rate must be above false_positive_rate")
    _decimal_within(part, "test_error", LEAST_OF_A_FRACTION, "0.25")
    _within(part, "min_ramp_up_measurements", 1, MOST_ANSWERS - 1)

    least = _decimal_within(part, "min_validation_average", LEAST_OF_A_FRACTION, "1")
    if _decimal_within(part, "max_validation_average", LEAST_OF_A_FRACTION, MOST_CHECKS_OF_AN_ANSWER) < least:
        raise InvalidParameters("validation_params.max_validation_average must not be below min_validation_average")
    if not least <= _decimal_within(part, "min_validation_halfway", LEAST_OF_A_FRACTION, "1"):
        raise InvalidParameters("validation_params.min_validation_halfway must not be below min_validation_average")
    _within(part, "full_validation_traffic_cutoff", 2, MOST_ANSWERS)
    _within(part, "min_validation_traffic_cutoff", 0, part.full_validation_traffic_cutoff // 2 - 1)

    _within(part, "epochs_to_max", 1, MOST_REPUTATION_EPOCHS)
    _decimal_within(part, "miss_percentage_cutoff", "0", "1")
    _decimal_within(part, "miss_requests_penalty", "0", MOST_MISS_PENALTY)
    _decimal_within(part, "missing_duties_allowed", "0", "1")
    _within(part, "dispute_duration", 1, params.epoch_params.epoch_length)


def _check_sprint(params: Params) -> None:
    """Proof of compute. Raises InvalidParameters."""
    poc = params.poc_params
    if poc.preset not in SPRINT_PRESETS:
        raise InvalidParameters(f"poc_params.preset {poc.preset!r} is none of {', '.join(SPRINT_PRESETS)}")
    if poc.max_rate < 0:
        raise InvalidParameters("poc_params.max_rate must not be below 0")
    _within(poc, "sample_size", 1, MAX_CHECKED_LEAVES)
    _within(poc, "committee_size", 1, MOST_CHECKERS)


def _check_rewards(params: Params) -> None:
    """The curve of rewards. Raises InvalidParameters."""
    if params.reward_params.decay_rate_e18 > 0:
        raise InvalidParameters("reward_params.decay_rate_e18 must not be above 0")


def _check_vesting(params: Params) -> None:
    """Over how many epochs pay is released. Raises InvalidParameters."""
    for name in ("work_vesting_period", "reward_vesting_period"):
        _within(params.tokenomics_params, name, 0, MOST_VESTING_EPOCHS)


def _check_collateral(params: Params) -> None:
    """What stands behind a weight, and what a fault costs. Raises InvalidParameters."""
    part = params.collateral_params
    for name in (
        "slash_fraction_invalid",
        "slash_fraction_downtime",
        "downtime_missed_percentage_threshold",
        "base_weight_ratio",
    ):
        _decimal_within(part, name, "0", "1")
    _decimal_within(part, "collateral_per_weight_unit", "0", MOST_COLLATERAL_PER_WEIGHT)
    _within(part, "unbonding_period_epochs", 1, MOST_UNBONDING_EPOCHS)


def _check_pricing(params: Params) -> None:
    """Prices that are above 0, can always move, and never overflow an escrow (W-17). Raises InvalidParameters."""
    part = params.dynamic_pricing_params
    lower = _decimal_within(part, "stability_zone_lower_bound", "0", "1")
    if _decimal_within(part, "stability_zone_upper_bound", "0", "1") < lower:
        raise InvalidParameters(
            "dynamic_pricing_params.stability_zone_upper_bound must not be below stability_zone_lower_bound"
        )
    _decimal_within(part, "price_elasticity", LEAST_OF_A_FRACTION, "0.999999")
    _within(part, "utilization_window_duration", 1, LONGEST_PRICE_WINDOW_SECONDS)
    _within(part, "min_per_token_price", 1, MAX_PRICE)
    for name in ("base_per_token_price", "grace_period_per_token_price"):
        _within(part, name, part.min_per_token_price, MAX_PRICE)


def _check_consensus_power(params: Params) -> None:
    """How much consensus power keys have that never signed. Raises InvalidParameters."""
    part = params.consensus_power_params
    _within(part, "unproven_percent", 1, 100)
    _within(part, "proof_window", 1, LONGEST_PROOF_BLOCKS)


def _check_fees(params: Params) -> None:
    """What a unit of gas costs. Raises InvalidParameters."""
    for name in ("minimum_gas_price_e18", "held_per_gas_e18"):
        price = getattr(params.fee_params, name)
        if price and not (price.isascii() and price.isdigit() and len(price) <= GAS_PRICE_DIGITS):
            raise InvalidParameters(f"fee_params.{name} must be a number of {GAS_PRICE_DIGITS} digits at most")
    if not 0 < params.fee_params.free_block_gas <= MOST_FREE_GAS:
        raise InvalidParameters(f"fee_params.free_block_gas must be between 1 and {MOST_FREE_GAS}")


def _check_training(params: Params) -> None:
    """How long the parts of a training task may take. Raises InvalidParameters."""
    part = params.training_params
    _within(part, "task_deposit", 0, MAX_INT64)
    _within(part, "task_blocks", 0, LONGEST_TASK_BLOCKS)
    if part.task_blocks:
        for name in ("assignment_blocks", "join_blocks", "heartbeat_blocks"):
            _within(part, name, 1, part.task_blocks)
        _within(part, "heartbeat_interval", 1, part.heartbeat_blocks)


def _within(part: Message, name: str, least: int, most: int) -> None:
    """Refuse a whole number outside its bounds, which belong to what is allowed. Raises InvalidParameters."""
    if not least <= getattr(part, name) <= most:
        raise InvalidParameters(f"{_path(part, name)} must be between {least} and {most}")


def _decimal_within(part: Message, name: str, least: str, most: str) -> int:
    """The number with 18 decimals, if it is within its bounds. Raises InvalidParameters."""
    if not part.HasField(name):
        raise InvalidParameters(f"{_path(part, name)} must be given")
    try:
        number = fixed_point(getattr(part, name))
    except InvalidDecimal as error:
        raise InvalidParameters(f"{_path(part, name)}: {error}") from None
    if not parse(least) <= number <= parse(most):
        raise InvalidParameters(f"{_path(part, name)} must be between {least} and {most}")
    return number


def _path(part: Message, name: str) -> str:
    """The field as it is called in the parameters' JSON."""
    if isinstance(part, GenesisOnlyParams):
        return f"genesis_only_params.{name}"
    groups = {group.message_type: group.name for group in Params.DESCRIPTOR.fields}
    return f"{groups[part.DESCRIPTOR]}.{name}"
