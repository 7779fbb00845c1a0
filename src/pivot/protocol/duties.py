"""Which answers a host must check: the draw that the chain and every API node must agree on (design, decision 13).

An answer gets on average as many checks as its epoch's traffic and its executor's reputation ask for. Each host that serves
the same model is drawn on its own, with a chance in proportion to its weight, by a number that follows from the element of
its hash chain for the answer's segment: nobody can foresee it before the segment is over, and everybody can check it then.

The number of answer i is (a · h(i) + b) mod 2^127 − 1, where h hashes the answer's id and a, b come from the element: equal in
distribution and pairwise independent, at a third of a hash per answer and host. A segment of 4,000 answers takes 2 ms
per host on one core, one of 100,000 some 110 ms (`benchmarks/checking.py`); claims look at counters only.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from pivot.primitives.fixed_point import ONE
from pivot.primitives.hashes import sha256, tagged_hash
from pivot.protocol.decimals import fixed_point
from pivot.protocol.generated.inference.inference.params_pb2 import ValidationParams
from pivot.protocol.generated.inference.inference.types_pb2 import InferenceValidationDetails

FULL_REPUTATION = 100
_MODULUS = 2**127 - 1
_HALF = 16


class Answer(NamedTuple):
    """An answer as the draw sees it."""

    inference_id: str
    number: int
    """h of its id, below the modulus."""
    executor: str
    model: str
    checks: int
    """On average, with 18 decimals, times the modulus."""
    others: int
    """Weight of the model's group without the executor, times 10^18; 0 if there is nobody else."""


def minimum_average(params: ValidationParams, traffic: int) -> int:
    """Checks that an answer gets on average, with 18 decimals, in an epoch with `traffic` answers (spec chain.md, 4.3).

    Full traffic gets the minimum, half of it the halfway value, little traffic everything; in between the line is straight.
    """
    full, least_traffic = params.full_validation_traffic_cutoff, params.min_validation_traffic_cutoff
    minimum, halfway = fixed_point(params.min_validation_average), fixed_point(params.min_validation_halfway)
    most = fixed_point(params.max_validation_average)
    half = full // 2
    if traffic >= full:
        return minimum
    if traffic >= half:
        return minimum + (halfway - minimum) * (full - traffic) // (full - half)
    if traffic > least_traffic:
        return halfway + (most - halfway) * (half - traffic) // (half - least_traffic)
    return most


def answer(params: ValidationParams, details: InferenceValidationDetails) -> Answer:
    """An answer, ready for the draw. params: of the epoch in which it was finished."""
    minimum = minimum_average(params, details.traffic_basis)
    doubt = FULL_REPUTATION - min(max(details.executor_reputation, 0), FULL_REPUTATION)
    most = max(fixed_point(params.max_validation_average), minimum)
    return Answer(
        inference_id=details.inference_id,
        number=int.from_bytes(sha256(details.inference_id.encode())) % _MODULUS,
        executor=details.executor_id,
        model=details.model,
        checks=(minimum + (most - minimum) * doubt // FULL_REPUTATION) * _MODULUS,
        others=max(details.total_power - details.executor_power, 0) * ONE,
    )


def drawn(element: bytes, answers: Iterable[Answer], checker: str, powers: Mapping[str, int]) -> list[str]:
    """Ids of the answers that a host must check, in the order of `answers`.

    element: 32 bytes, of the host's hash chain for the segment in which the answers were finished. powers: the host's weight
    in each model's group of the epoch; models that it does not serve are not in it. A host is never drawn for its own answer.
    Drawn is who has number / modulus < checks · weight / weight of the others.
    """
    seed = tagged_hash("pivot/duties/1", checker.encode(), element)
    factor, offset = int.from_bytes(seed[:_HALF]) % _MODULUS, int.from_bytes(seed[_HALF:]) % _MODULUS
    power_of = powers.get
    return [
        inference_id
        for inference_id, number, executor, model, checks, others in answers
        if others
        and executor != checker
        and (factor * number + offset) % _MODULUS * others < checks * power_of(model, 0)
    ]
