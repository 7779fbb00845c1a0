"""What a request may cost, and what it did cost.

Price is a number of ngonka per token, prompt and answer alike. All results fit 63 bits within the limits named here.
"""

from pivot.primitives.numbers import MAX_INT64, Amount

DEFAULT_MAX_TOKENS = 5000
"""Answer length that is set aside when a request names none."""

MAX_TOKENS_PER_REQUEST = 1_000_000
"""Longest prompt, and longest answer, of one request."""

MAX_PRICE = MAX_INT64 // (2 * MAX_TOKENS_PER_REQUEST)
"""Highest price at which the largest request still has an escrow of 63 bits."""


def escrow(prompt_tokens: int, max_tokens: int, price: int) -> Amount:
    """ngonka set aside when a request starts: a hard cap on its cost."""
    return Amount((prompt_tokens + max_tokens) * price)


def cost(prompt_tokens: int, completion_tokens: int, price: int, escrowed: int) -> Amount:
    """ngonka that a finished request costs, never above its escrow."""
    return Amount(min((prompt_tokens + completion_tokens) * price, escrowed))


def refunds(escrowed: int, gateway_paid: int, spent: int) -> tuple[Amount, Amount]:
    """What goes back to the developer and to the gateway account when `spent` of an escrow is used.

    The developer pays first, with all that it put in; the gateway account only pays for what is left. So neither gets back
    more than it gave, and a gateway never pays for an answer that its developer could afford.
    """
    developer_paid = escrowed - gateway_paid
    developer_spent = min(spent, developer_paid)
    return Amount(developer_paid - developer_spent), Amount(gateway_paid - (spent - developer_spent))
