"""Where gas has no price, coins must be held for it: what an account does in a window is bounded by what it holds.

The coins that stand behind a window's transactions stay where they are until it ends; else the same coins would go from account
to account and stand behind any number of transactions. An account that somebody made for another one who holds too little
counts against its maker, but not so far that others could lock up all that the maker has. Rows of the store `bank`.

0x11 ‖ address    window (8 bytes) ‖ ngonka (8 bytes): what stands behind the account's transactions in that window
0x12 ‖ address    address: whoever made this account
"""

from collections.abc import Iterator

from pivot.chain.errors import SdkCode, SdkError
from pivot.chain.modules.auth.state import account
from pivot.chain.modules.bank.state import STORE, balance
from pivot.chain.modules.params.state import block_time
from pivot.chain.pagination import prefix_end
from pivot.chain.store.journal import State
from pivot.chain.types import Reader
from pivot.primitives.addresses import from_bytes, to_bytes
from pivot.primitives.coins import BASE_DENOM
from pivot.protocol.transactions import NANOSECONDS

WINDOW_NS = 60 * NANOSECONDS
"""Windows follow one another by block time; each begins with nothing used."""
MOST_MAKERS = 3
"""How far the accounts' makers are asked, one after another."""
LENT_PART = 2
"""One part in so many of what an account holds stands behind others' transactions; the rest stays for its own."""

QUOTA_PREFIX = b"\x11"
MAKER_PREFIX = b"\x12"
NUMBER_BYTES = 8


def use(state: State, payer: str, coins: int, *, lent: bool = False) -> None:
    """Have so many ngonka stand behind a transaction: the payer's, or its maker's. Raises SdkError (INSUFFICIENT_FEE).

    lent: the payer stands for somebody else's transaction, as a maker always does.
    """
    window = block_time(state) // WINDOW_NS
    address: str | None = payer
    for asked in range(1 + MOST_MAKERS):
        if address is None:
            break
        used = _used(state, address, window) + coins
        if used <= balance(state, address) // (LENT_PART if lent or asked else 1):
            put_quota(state, address, window, used)
            return
        address = maker(state, address)
    part = f", of which one part in {LENT_PART} stands behind others' transactions" if lent else ""
    raise SdkError(
        SdkCode.INSUFFICIENT_FEE,
        f"{payer} must hold {_used(state, payer, window) + coins}{BASE_DENOM} for its transactions within "
        f"{WINDOW_NS // NANOSECONDS} seconds, but holds {balance(state, payer)}{BASE_DENOM}{part}: insufficient fee",
    )


def held(state: Reader, address: str) -> int:
    """ngonka that stand behind the account's transactions in the window under way, and cannot be spent in it."""
    row = state.get(STORE, _quota_key(address))
    return 0 if row is None else _of_window(row, block_time(state) // WINDOW_NS)


def note_maker(state: State, address: str, made_by: str) -> None:
    """To be called before one makes another one's account: the new account counts against its maker. Others stay as they are."""
    if account(state, address) is None:
        put_maker(state, address, made_by)


def maker(state: Reader, address: str) -> str | None:
    """Who has made this account for another one, if somebody has."""
    row = state.get(STORE, MAKER_PREFIX + to_bytes(address))
    return None if row is None else from_bytes(row)


def quotas(state: Reader) -> Iterator[tuple[str, int, int]]:
    """(address, window, ngonka) of all that has been used, also in windows that are past."""
    for key, row in state.iterate(STORE, QUOTA_PREFIX, prefix_end(QUOTA_PREFIX)):
        yield from_bytes(key[1:]), int.from_bytes(row[:NUMBER_BYTES]), int.from_bytes(row[NUMBER_BYTES:])


def makers(state: Reader) -> Iterator[tuple[str, str]]:
    """(address, maker) of all accounts that count against their makers."""
    for key, row in state.iterate(STORE, MAKER_PREFIX, prefix_end(MAKER_PREFIX)):
        yield from_bytes(key[1:]), from_bytes(row)


def put_quota(state: State, address: str, window: int, coins: int) -> None:
    """Write how many ngonka stand behind an account's transactions in a window."""
    state.set(STORE, _quota_key(address), window.to_bytes(NUMBER_BYTES) + coins.to_bytes(NUMBER_BYTES))


def put_maker(state: State, address: str, made_by: str) -> None:
    """Write who has made an account."""
    state.set(STORE, MAKER_PREFIX + to_bytes(address), to_bytes(made_by))


def _used(state: Reader, address: str, window: int) -> int:
    row = state.get(STORE, _quota_key(address))
    return 0 if row is None else _of_window(row, window)


def _of_window(row: bytes, window: int) -> int:
    return int.from_bytes(row[NUMBER_BYTES:]) if int.from_bytes(row[:NUMBER_BYTES]) == window else 0


def _quota_key(address: str) -> bytes:
    return QUOTA_PREFIX + to_bytes(address)
