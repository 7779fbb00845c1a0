"""Coins are set aside once, and released whole."""

from contextlib import ExitStack

import pytest

from pivot.api.http.errors import InsufficientBalance
from pivot.api.inference.funds import HOLD_BLOCKS, Funds
from pivot.api.inference.market import Market
from tests.api.inference.network import FakeChain, FakePhases, moment_at


def funds(**balances: int) -> Funds:
    return Funds(Market(FakeChain(balances=balances), FakePhases()))  # type: ignore[arg-type]  # only balances are asked


async def test_payers_pay_in_order_each_what_it_can() -> None:
    held = funds(developer=10, gateway=5)
    with ExitStack() as stack:
        for escrow in (8, 4, 3):
            stack.enter_context(await held.hold(["developer", "gateway"], escrow, named="they"))
        with pytest.raises(InsufficientBalance, match="they holds 15 ngonka, of which 15 are set aside"):
            await held.hold(["developer", "gateway"], 1, named="they")
    with await held.hold(["developer", "gateway"], 15, named="they"):
        pass


async def test_one_who_does_not_have_to_pay_holds_nothing() -> None:
    held = funds(developer=10, gateway=5)
    payers = ["developer", "gateway"]
    with await held.hold(payers, 5, named="they"), await held.hold(payers, 5, named=""):
        pass
    with await held.hold(["gateway"], 5, named="it"):
        pass


async def test_what_was_spent_is_counted_until_blocks_have_passed() -> None:
    held = funds(developer=10)
    with await held.hold(["developer"], 10, named="it") as hold:
        hold.spent = True
    for blocks in (0, HOLD_BLOCKS - 1):
        held.note(moment_at(height=1000 + blocks))
        with pytest.raises(InsufficientBalance):
            await held.hold(["developer"], 1, named="it")
    held.note(moment_at(height=1000 + HOLD_BLOCKS))
    with await held.hold(["developer"], 10, named="it"):
        pass
