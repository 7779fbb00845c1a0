"""The calendar of an epoch: all its heights from its first one and its parameters, and the phase at a height.

Computed once, when an epoch's record is made, and stored there (design, decision 4); nobody recomputes them.
"""

from enum import StrEnum

from pivot.protocol.generated.inference.inference.params_pb2 import EpochParams
from pivot.protocol.generated.inference.inference.types_pb2 import Epoch, EpochBoundaries

SEGMENTS = 24
"""Parts of an epoch, each with one element of every host's hash chain."""

_WIND_DOWN_TENTHS = 8


class Phase(StrEnum):
    """What the network is doing, under the published names."""

    POC_GENERATE = "PoCGenerate"
    POC_GENERATE_WIND_DOWN = "PoCGenerateWindDown"
    POC_VALIDATE = "PoCValidate"
    POC_VALIDATE_WIND_DOWN = "PoCValidateWindDown"
    INFERENCE = "Inference"


def boundaries(params: EpochParams, poc_start: int) -> EpochBoundaries:
    """All heights of the epoch whose sprint starts at `poc_start` (spec chain.md, 1.3)."""
    generation_end = poc_start + params.poc_stage_duration
    validation_start = generation_end + params.poc_validation_delay
    validation_end = validation_start + params.poc_validation_duration
    switch = validation_end + params.set_new_validators_delay
    following = poc_start + params.epoch_length
    return EpochBoundaries(
        poc_start=poc_start,
        poc_generation_wind_down=poc_start + params.poc_stage_duration * _WIND_DOWN_TENTHS // 10,
        poc_generation_end=generation_end,
        poc_exchange_end=generation_end + params.poc_exchange_duration,
        poc_validation_start=validation_start,
        poc_validation_reveal=validation_start + params.poc_validation_duration // 2,
        poc_validation_wind_down=validation_start + params.poc_validation_duration * _WIND_DOWN_TENTHS // 10,
        poc_validation_end=validation_end,
        set_new_validators=switch,
        claim_money=switch + 1,
        inference_validation_cutoff=following - params.inference_validation_cutoff,
        randomness_freeze=following - params.randomness_freeze,
        next_poc_start=following,
    )


def phase_at(latest: Epoch, height: int) -> Phase:
    """The phase at `height`, seen from the latest epoch's record (index 0: no sprint has begun yet)."""
    marks = latest.boundaries
    if latest.index == 0 or height < marks.poc_start or height >= marks.poc_validation_end:
        return Phase.INFERENCE
    if height < marks.poc_generation_wind_down:
        return Phase.POC_GENERATE
    if height < marks.poc_validation_start:
        return Phase.POC_GENERATE_WIND_DOWN
    if height < marks.poc_validation_wind_down:
        return Phase.POC_VALIDATE
    return Phase.POC_VALIDATE_WIND_DOWN


def segment_end(marks: EpochBoundaries, segment: int) -> int:
    """Last height of a segment (0 to 23) of the time in which the epoch's members serve."""
    length = marks.next_poc_start - marks.poc_start
    return marks.set_new_validators + length * (segment + 1) // SEGMENTS


def ended_segments(marks: EpochBoundaries, height: int) -> int:
    """How many segments have ended before `height`: so many elements of its hash chain a host may have revealed."""
    return sum(1 for segment in range(SEGMENTS) if segment_end(marks, segment) < height)
