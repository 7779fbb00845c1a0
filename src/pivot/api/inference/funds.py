"""What accounts can still pay, less what their requests under way have set aside.

The chain takes a developer's escrow when it records the start; what the developer cannot pay then is charged to this host's
gateway account. So between the check of a balance and that moment nobody may spend the same coins twice here.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from pivot.api.http.errors import InsufficientBalance
from pivot.api.inference.market import Market

HOLD_SECONDS = 15.0
"""After an answer has ended, its escrow is counted for so long: until then the chain has taken it, and the balance shows it."""


class Funds:
    """Escrows of requests under way, by the account that pays."""

    def __init__(self, market: Market) -> None:
        self._market = market
        self._held: dict[str, int] = {}

    async def require(self, address: str, escrow: int, *, named: str = "") -> None:
        """Raises InsufficientBalance, which names the account, unless it holds `escrow` ngonka more than is set aside."""
        balance = await self._market.balance(address)
        free = balance - self._held.get(address, 0)
        if free < escrow:
            raise InsufficientBalance(
                f"Insufficient balance: {named}{address} holds {balance} ngonka, of which {balance - free} are set aside for "
                f"requests under way; this request needs {escrow}; send coins to that address or lower max_tokens"
            )

    @contextmanager
    def held(self, address: str, escrow: int) -> Iterator["Hold"]:
        """Set an escrow aside for a request; for a while longer if it was spent."""
        hold = Hold()
        self._held[address] = self._held.get(address, 0) + escrow
        try:
            yield hold
        finally:
            if hold.spent:
                asyncio.get_running_loop().call_later(HOLD_SECONDS, self._release, address, escrow)
            else:
                self._release(address, escrow)

    def _release(self, address: str, escrow: int) -> None:
        left = self._held[address] - escrow
        if left:
            self._held[address] = left
        else:
            del self._held[address]


class Hold:
    """Whether the coins of a request have been, or will be, taken by the chain."""

    spent = False
