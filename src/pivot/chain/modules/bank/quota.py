"""Where gas has no price, coins must be held for it: what an account does in a window is bounded by what it holds.

The coins that stand behind a window's transactions stay where they are until it ends; else the same coins would go from account
to account and stand behind any number of transactions. An account that somebody made for another one who holds too little
counts against its maker. Rows of the store `bank`.

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

QUOTA_PREFIX = b"\x11"
MAKER_PREFIX = b"\x12"
NUMBER_BYTES = 8


def use(state: State, payer: str, coins: int) -> None:
    """Have so many ngonka stand behind a transaction: the payer's, or its maker's. Raises SdkError (INSUFFICIENT_FEE)."""
    for address in [payer, *_makers(state, payer)]:
        used = held(state, address) + coins
        if used <= balance(state, address):
            put_quota(state, address, block_time(state) // WINDOW_NS, used)
            return
    used = held(state, payer) + coins
    raise SdkError(
        SdkCode.INSUFFICIENT_FEE,
        f"{payer} must hold {used}{BASE_DENOM} for its transactions within {WINDOW_NS // NANOSECONDS} seconds, "
        f"but holds {balance(state, payer)}{BASE_DENOM}: insufficient fee",
    )


def held(state: Reader, address: str) -> int:
    """ngonka that stand behind the account's transactions in the window under way, and cannot be spent in it."""
    row = state.get(STORE, _quota_key(address))
    if row is None or int.from_bytes(row[:NUMBER_BYTES]) != block_time(state) // WINDOW_NS:
        return 0
    return int.from_bytes(row[NUMBER_BYTES:])


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


def _makers(state: Reader, address: str) -> Iterator[str]:
    for _ in range(MOST_MAKERS):
        found = maker(state, address)
        if found is None:
            return
        yield found
        address = found


def _quota_key(address: str) -> bytes:
    return QUOTA_PREFIX + to_bytes(address)
