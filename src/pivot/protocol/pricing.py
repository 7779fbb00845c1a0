"""What a request may cost, and what it did cost."""

from pivot.primitives.numbers import Amount

DEFAULT_MAX_TOKENS = 5000
"""Answer length that is set aside when a request names none."""

MAX_TOKENS_PER_REQUEST = 1_000_000


def escrow(prompt_tokens: int, max_tokens: int, price: int) -> Amount:
    """ngonka set aside when a request starts: a hard cap on its cost."""
    return Amount((prompt_tokens + max_tokens) * price)


def cost(prompt_tokens: int, completion_tokens: int, price: int, escrowed: int) -> Amount:
    """ngonka that a finished request costs, never above its escrow."""
    return Amount(min((prompt_tokens + completion_tokens) * price, escrowed))
