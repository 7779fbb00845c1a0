"""Fixed-point numbers of 18 decimals, held in plain integers. Every rounding is named."""

ONE = 10**18


def multiply_floor(a: int, b: int) -> int:
    """a × b, both fixed-point, rounded down."""
    return a * b // ONE


def multiply_ceiling(a: int, b: int) -> int:
    """a × b, both fixed-point, rounded up."""
    return -(-a * b // ONE)


_GUARD = 10**12
_LN2_GUARDED = 693147180559945309417232121458


def exp(x: int) -> int:
    """e to the power x for -40 ≤ x ≤ 40, fixed-point in and out, rounded down; the error is below one last place.

    Integer arithmetic alone: x = k·ln 2 + r with 0 ≤ r < ln 2, then the Taylor series of r at 30 decimals.
    """
    if abs(x) > 40 * ONE:
        raise ValueError(f"exp of {x} × 10^-18 is outside -40 to 40")
    scale = ONE * _GUARD
    halvings, rest = divmod(x * _GUARD, _LN2_GUARDED)
    term = total = scale
    divisor = 1
    while term:
        term = term * rest // (scale * divisor)
        total += term
        divisor += 1
    total = total << halvings if halvings >= 0 else total >> -halvings
    return total // _GUARD
