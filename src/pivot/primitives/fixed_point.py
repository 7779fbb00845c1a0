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


def ln(x: int) -> int:
    """The natural logarithm of x > 0, fixed-point in and out, rounded down; the error is below two last places.

    Integer arithmetic alone: x = 2^k · m with 1 ≤ m < 2, then ln m = 2 · artanh((m − 1) / (m + 1)) as a series at 30 decimals.
    """
    if x <= 0:
        raise ValueError(f"ln of {x} × 10^-18 does not exist")
    scale = ONE * _GUARD
    mantissa, doublings = x * _GUARD, 0
    while mantissa >= 2 * scale:
        mantissa, doublings = mantissa >> 1, doublings + 1
    while mantissa < scale:
        mantissa, doublings = mantissa << 1, doublings - 1
    ratio = (mantissa - scale) * scale // (mantissa + scale)
    square = ratio * ratio // scale
    power, total, odd = ratio, 0, 1
    while power:
        total += power // odd
        power, odd = power * square // scale, odd + 2
    return (2 * total + doublings * _LN2_GUARDED) // _GUARD
