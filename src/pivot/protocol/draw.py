"""Weighted draws that the chain and every API node must agree on: executors of a request, checkers of a host."""

from collections.abc import Sequence

from pivot.primitives.hashes import tagged_hash

EXECUTOR_CANDIDATES = 3


def weighted(members: Sequence[tuple[str, int]], count: int, seed: bytes) -> list[str]:
    """`count` of the members (address, weight), in the order drawn, without replacement; all, if there are fewer.

    Every member gets ticket = (96 bits of SHA-256 of seed and address) and the draw takes the largest of
    −log2(ticket) / weight from below: Efraimidis and Spirakis' method with an integer logarithm, so the order of `members` does
    not matter and one member's weight does not move the tickets of others. Members of weight 0 or less are never drawn.
    Cost: one hash per member.
    """
    keys = [(_minus_log2(seed, address) // weight, address) for address, weight in members if weight > 0]
    keys.sort()
    return [address for _, address in keys[:count]]


def executors(members: Sequence[tuple[str, int]], inference_id: str, randomness: bytes) -> list[str]:
    """The hosts that may answer a request, first choice first (design, decision 8)."""
    seed = tagged_hash("pivot/executors/1", inference_id.encode(), randomness)
    return weighted(members, EXECUTOR_CANDIDATES, seed)


def checkers(members: Sequence[tuple[str, int]], host: str, epoch: int, size: int, randomness: bytes) -> list[str]:
    """Who checks a host's proof of compute: all other members, or a committee of `size` drawn by weight; alone, itself."""
    others = [(address, weight) for address, weight in members if address != host]
    if not others:
        return [host]
    seed = tagged_hash("pivot/checkers/1", epoch.to_bytes(8, "big"), host.encode(), randomness)
    return sorted(weighted(others, size, seed))


_TICKET_BITS = 96
_FRACTION_BITS = 64


def _minus_log2(seed: bytes, address: str) -> int:
    """−log2(u) for a ticket u in (0, 1], times 2^(64 + 64), in integers: exponentially distributed, so key/weight is a race."""
    ticket = int.from_bytes(tagged_hash("pivot/ticket/1", seed, address.encode())[: _TICKET_BITS // 8]) + 1
    return (_TICKET_BITS << _FRACTION_BITS) - _log2(ticket) << 64


def _log2(value: int) -> int:
    """log2(value) × 2^64 for value ≥ 1, rounded down, by repeated squaring."""
    whole = value.bit_length() - 1
    mantissa = value << 128 >> whole
    result = whole << _FRACTION_BITS
    for bit in range(_FRACTION_BITS - 1, -1, -1):
        mantissa = mantissa * mantissa >> 128
        if mantissa >> 129:
            mantissa >>= 1
            result |= 1 << bit
    return result
