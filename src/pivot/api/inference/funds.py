"""What accounts can still pay, less what their requests under way have set aside.

The chain takes a developer's escrow when it records the start; what the developer cannot pay then is charged to the transfer
agent's gateway account. So between the check of a balance and that moment nobody may spend the same coins twice here.
"""

from collections.abc import Sequence
from itertools import takewhile
from typing import Self

from pivot.api.http.errors import InsufficientBalance
from pivot.api.inference.market import Market
from pivot.api.phases import Moment

HOLD_BLOCKS = 10
"""After an answer has ended, its escrow is counted for so many blocks: by then the chain has taken it, and balances show it.

Blocks and not seconds, because the chain takes nothing while it stands still.
"""


class Funds:
    """Escrows of requests under way, by the account that pays."""

    def __init__(self, market: Market) -> None:
        self._market = market
        self._held: dict[str, int] = {}
        self._leaving: dict[int, dict[str, int]] = {}
        """Escrows that were spent, by the height at which they are released, and who paid. Heights rise."""

    def note(self, moment: Moment) -> None:
        """Release what the chain has taken by now."""
        for height in list(takewhile(lambda height: height <= moment.head.height, self._leaving)):
            self._release(self._leaving.pop(height))

    async def hold(self, payers: Sequence[str], escrow: int, *, named: str) -> "Hold":
        """Set an escrow aside for a request, as long as the context of what is given is open, and for a while longer if it was spent.

        The payers pay in the order given, each what it can. Raises InsufficientBalance, which speaks of `named`, unless they
        hold `escrow` ngonka together beyond what is set aside.
        """
        balances = [await self._market.balance(payer) for payer in payers]
        shares: dict[str, int] = {}
        left = escrow
        for payer, balance in zip(payers, balances, strict=True):  # no pause from here to the hold
            share = min(left, max(0, balance - self._held.get(payer, 0)))
            if share:
                shares[payer] = share
                left -= share
        if left:
            total, free = sum(balances), escrow - left
            raise InsufficientBalance(
                f"Insufficient balance: {named} holds {total} ngonka, of which {total - free} are set aside for "
                f"requests under way; this request needs {escrow}; send coins to that address or lower max_tokens"
            )
        _add(self._held, shares)
        return Hold(self, shares)

    def end(self, shares: dict[str, int], *, spent: bool) -> None:
        """A request has ended."""
        if spent:
            _add(self._leaving.setdefault(self._market.height + HOLD_BLOCKS, {}), shares)
        else:
            self._release(shares)

    def _release(self, shares: dict[str, int]) -> None:
        for payer, share in shares.items():
            left = self._held[payer] - share
            if left:
                self._held[payer] = left
            else:
                del self._held[payer]


class Hold:
    """One request's escrow, set aside while the context is open."""

    spent = False
    """Whether the chain has taken it, or will."""

    def __init__(self, funds: Funds, shares: dict[str, int]) -> None:
        self._funds = funds
        self._shares = shares

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._funds.end(self._shares, spent=self.spent)


def _add(sums: dict[str, int], shares: dict[str, int]) -> None:
    for payer, share in shares.items():
        sums[payer] = sums.get(payer, 0) + share
