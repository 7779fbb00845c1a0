"""The calendar of an epoch."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pivot.protocol.epochs import SEGMENTS, Phase, boundaries, ended_segments, phase_at, segment_end
from pivot.protocol.generated.inference.inference.params_pb2 import EpochParams
from pivot.protocol.generated.inference.inference.types_pb2 import Epoch, EpochBoundaries
from pivot.protocol.parameters import InvalidParameters, check_params, preset_params


def mainnet() -> EpochParams:
    return preset_params("mainnet").epoch_params


def test_boundaries_are_the_published_ones() -> None:
    marks = boundaries(mainnet(), 1000)
    assert {field.name: value - 1000 for field, value in marks.ListFields()} == {
        "poc_start": 0,
        "poc_generation_wind_down": 48,
        "poc_generation_end": 60,
        "poc_exchange_end": 65,
        "poc_validation_start": 65,
        "poc_validation_reveal": 75,
        "poc_validation_wind_down": 81,
        "poc_validation_end": 85,
        "set_new_validators": 205,
        "claim_money": 206,
        "inference_validation_cutoff": 17200,
        "randomness_freeze": 17270,
        "next_poc_start": 17280,
    }


@pytest.mark.parametrize(
    ("offset", "phase"),
    [
        (-1, Phase.INFERENCE),
        (0, Phase.POC_GENERATE),
        (47, Phase.POC_GENERATE),
        (48, Phase.POC_GENERATE_WIND_DOWN),
        (64, Phase.POC_GENERATE_WIND_DOWN),
        (65, Phase.POC_VALIDATE),
        (80, Phase.POC_VALIDATE),
        (81, Phase.POC_VALIDATE_WIND_DOWN),
        (84, Phase.POC_VALIDATE_WIND_DOWN),
        (85, Phase.INFERENCE),
        (17279, Phase.INFERENCE),
    ],
)
def test_phases_follow_the_boundaries(offset: int, phase: Phase) -> None:
    epoch = Epoch(index=4, boundaries=boundaries(mainnet(), 1000))
    assert phase_at(epoch, 1000 + offset) == phase


def test_before_the_first_sprint_everything_is_inference() -> None:
    assert phase_at(Epoch(boundaries=EpochBoundaries(next_poc_start=10)), 3) == Phase.INFERENCE


def test_segments_fill_the_time_from_switch_to_switch() -> None:
    marks = boundaries(mainnet(), 1000)
    following = boundaries(mainnet(), marks.next_poc_start)
    ends = [segment_end(marks, segment) for segment in range(SEGMENTS)]
    assert ends[-1] == following.set_new_validators
    lengths = {end - start for start, end in zip([marks.set_new_validators, *ends], ends, strict=False)}
    assert max(lengths) - min(lengths) <= 1


def test_a_segment_has_ended_in_the_block_after_its_last() -> None:
    marks = boundaries(mainnet(), 1000)
    assert ended_segments(marks, marks.set_new_validators) == 0
    for segment in range(SEGMENTS):
        assert ended_segments(marks, segment_end(marks, segment)) == segment
        assert ended_segments(marks, segment_end(marks, segment) + 1) == segment + 1


LENGTHS = st.integers(0, 300)


@given(
    st.builds(
        EpochParams,
        epoch_length=st.integers(1, 1000),
        epoch_shift=LENGTHS,
        poc_stage_duration=LENGTHS,
        poc_exchange_duration=LENGTHS,
        poc_validation_delay=LENGTHS,
        poc_validation_duration=LENGTHS,
        set_new_validators_delay=LENGTHS,
        inference_validation_cutoff=st.just(0),
        inference_pruning_epoch_threshold=st.just(2),
        randomness_freeze=LENGTHS,
    ),
    st.integers(1, 10**6),
)
def test_whatever_parameters_are_accepted_the_calendar_is_in_order(lengths: EpochParams, start: int) -> None:
    params = preset_params("test")
    params.epoch_params.CopyFrom(lengths)
    try:
        check_params(params)
    except InvalidParameters:
        return
    marks = boundaries(lengths, start)
    assert marks.poc_start <= marks.poc_generation_wind_down < marks.poc_generation_end < marks.poc_exchange_end
    assert marks.poc_exchange_end <= marks.poc_validation_start < marks.poc_validation_reveal
    assert marks.poc_validation_reveal < marks.poc_validation_end < marks.set_new_validators
    assert marks.set_new_validators < marks.randomness_freeze < marks.next_poc_start
