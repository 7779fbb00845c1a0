"""Rows of the store `bank`, as published: amounts are decimal text.

0x02 ‖ length of address ‖ address ‖ denom   balance; no row means 0
0x00 ‖ denom                                supply
"""

from collections.abc import Callable, Iterator

from pivot.chain.errors import SdkCode, SdkError
from pivot.chain.modules.auth.state import ensure_account
from pivot.chain.pagination import prefix_end
from pivot.chain.store.journal import State
from pivot.chain.types import Block, Reader
from pivot.primitives.addresses import from_bytes, of_module, to_bytes
from pivot.primitives.coins import BASE_DENOM
from pivot.primitives.numbers import Amount

Lock = Callable[[Reader, str], int]
"""`lock(state, address)`: ngonka of the address's balance that cannot be spent at the time of the last block."""

STORE = "bank"
BALANCE_PREFIX = b"\x02"
SUPPLY_PREFIX = b"\x00"
ESCROW = of_module("inference")
"""Holds what developers set aside for answers, and what hosts have earned and not yet been paid."""
REWARDS = of_module("rewards")
"""Holds the coins that later epochs will pay out."""
COMMUNITY_POOL = of_module("distribution")
"""Takes fees, remainders, and what nobody claims."""
STREAMVESTING = of_module("streamvesting")
"""Holds pay that hosts receive over the next epochs."""
COLLATERAL = of_module("collateral")
"""Holds the coins that stand behind hosts' weights."""
GOVERNANCE = of_module("gov")
"""Holds the deposits of proposals."""
TRAINING = of_module("training")
"""Holds the deposits of training tasks."""
MODULE_ACCOUNTS = {
    "collateral": COLLATERAL,
    "gov": GOVERNANCE,
    "inference": ESCROW,
    "rewards": REWARDS,
    "distribution": COMMUNITY_POOL,
    "streamvesting": STREAMVESTING,
    "training": TRAINING,
}


def balance(state: Reader, address: str) -> Amount:
    """ngonka that an address holds. Raises InvalidAddress."""
    return Amount(int(state.get(STORE, balance_key(address)) or 0))


def balances(state: Reader) -> Iterator[tuple[str, Amount]]:
    """All balances above 0, by address bytes."""
    for key, row in state.iterate(STORE, BALANCE_PREFIX, prefix_end(BALANCE_PREFIX)):
        yield from_bytes(key[2 : 2 + key[1]]), Amount(int(row))


def locked(state: Reader, address: str) -> Amount:
    """ngonka of a balance that cannot be spent now: the most that any lock holds, as the same coins may serve several."""
    return Amount(max((lock(state, address) for lock in _LOCKS), default=0))


def spendable(state: Reader, address: str) -> Amount:
    """ngonka that an address may spend now."""
    return Amount(max(0, balance(state, address) - locked(state, address)))


def lock_by(lock: Lock) -> None:
    """Have a module say what it locks. Called once for each lock, in `chain/registry.py`, before any block is made."""
    _LOCKS.append(lock)


def supply(state: Reader) -> Amount:
    """ngonka that exist."""
    return Amount(int(state.get(STORE, SUPPLY_PREFIX + BASE_DENOM.encode()) or 0))


def move(state: State, source: str, target: str, amount: int) -> None:
    """Move ngonka from one address to another, whose account is made if there is none. Moving 0 changes nothing.

    Raises SdkError (INSUFFICIENT_FUNDS), InvalidAddress.
    """
    if amount < 0:
        raise ValueError(f"{amount} ngonka cannot be moved")
    if amount == 0:
        return
    held = balance(state, source)
    free = held - locked(state, source)
    if free < amount:
        raise SdkError(
            SdkCode.INSUFFICIENT_FUNDS,
            f"spendable balance {max(0, free)}{BASE_DENOM} is smaller than {amount}{BASE_DENOM}: insufficient funds",
        )
    _set_balance(state, source, held - amount)
    _set_balance(state, target, balance(state, target) + amount)
    ensure_account(state, target)


def send(block: Block, source: str, target: str, amount: int) -> None:
    """Move ngonka and tell it in the published events. Raises as `move` does."""
    move(block.state, source, target, amount)
    coins = f"{amount}{BASE_DENOM}"
    block.emit("coin_spent", spender=source, amount=coins)
    block.emit("coin_received", receiver=target, amount=coins)
    block.emit("transfer", recipient=target, sender=source, amount=coins)
    block.emit("message", sender=source)


def put_genesis_balance(state: State, address: str, amount: int) -> None:
    """Give an address its first coins. Only the genesis makes coins."""
    _set_balance(state, address, amount)
    ensure_account(state, address)


def put_genesis_supply(state: State, amount: int) -> None:
    """Write down how many ngonka there are, for good."""
    state.set(STORE, SUPPLY_PREFIX + BASE_DENOM.encode(), str(amount).encode())


def balance_key(address: str) -> bytes:
    """The row of an address's balance, which clients may ask for with its proof."""
    return balance_prefix(address) + _DENOM


def balance_prefix(address: str) -> bytes:
    """What the keys of all balances of one address begin with; the denomination follows."""
    raw = to_bytes(address)
    return BALANCE_PREFIX + bytes([len(raw)]) + raw


def _set_balance(state: State, address: str, amount: int) -> None:
    if amount:
        state.set(STORE, balance_key(address), str(amount).encode())
    else:
        state.delete(STORE, balance_key(address))


_DENOM = BASE_DENOM.encode()
_LOCKS: list[Lock] = []
