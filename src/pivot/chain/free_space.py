"""Block space for duties that cost nothing, shared out among hosts by weight (design, decision 3).

Free are duties of members of the epoch in force or the upcoming one, sent by themselves or by whom they have permitted it. A
host's first free transaction in a block finds room; the others do while the gas of all of them stays within the host's share,
which is its part of all weight. The same rule holds where a proposal is put together, where it is judged, and where the block
is made.
"""

from pivot.chain.modules.authz.state import may_act
from pivot.chain.modules.epochs.state import effective_index
from pivot.chain.modules.members.state import is_member, share
from pivot.chain.modules.params.state import consensus_params, fee_of, fee_params
from pivot.chain.transaction import Transaction
from pivot.chain.types import Reader
from pivot.protocol.messages import type_url

FREE_PART = 2
"""At most one part in so many of a block's gas is for free duties, where the engine's parameters bound it."""


class FreeSpace:
    """What is left of one block's free space. `used` is the gas that each host's free duties have taken."""

    def __init__(self, state: Reader, time_ns: int, used: dict[str, int], blocks: int = 1) -> None:
        """`blocks`: so many blocks' space; transactions that wait may fill more than the next block."""
        self._state = state
        self._time_ns = time_ns
        self._used = used
        self._blocks = blocks

    def hosts(self, transaction: Transaction) -> tuple[str, ...]:
        """The hosts whose duties a transaction does; none if it is not free, or pays for itself."""
        if not transaction.is_duty or self._pays(transaction):
            return ()
        return tuple(dict.fromkeys(act.owner for act in transaction.acts)) if self._is_free(transaction) else ()

    def has_room(self, hosts: tuple[str, ...], gas: int) -> bool:
        """Whether so much more gas stays within the share of each of these hosts."""
        return all(self._used.get(host, 0) + gas <= self.share(host) for host in hosts)

    def is_first(self, hosts: tuple[str, ...]) -> bool:
        """Whether none of these hosts has a free transaction in the block yet."""
        return self._used.keys().isdisjoint(hosts)

    def take(self, hosts: tuple[str, ...], gas: int) -> None:
        """Use up space. A transaction for several hosts counts for each of them as a whole."""
        for host in hosts:
            self._used[host] = self._used.get(host, 0) + gas

    def share(self, host: str) -> int:
        """Gas of a host's share: by its weight in the epoch in force or the upcoming one, whichever gives more."""
        epoch = effective_index(self._state)
        shares = (share(self._state, each, host) for each in (epoch, epoch + 1))
        return max(self._gas() * weight // max(1, total) for weight, total in shares)

    def _gas(self) -> int:
        of_block = consensus_params(self._state).block.max_gas  # the engine's −1: no limit
        free = fee_params(self._state).free_block_gas
        return self._blocks * (free if of_block < 0 else min(free, of_block // FREE_PART))

    def _pays(self, transaction: Transaction) -> bool:
        least = fee_of(self._state, transaction.gas)
        return 0 < least <= transaction.fee

    def _is_free(self, transaction: Transaction) -> bool:
        state, epoch = self._state, effective_index(self._state)
        return all(
            (is_member(state, epoch, act.owner) or is_member(state, epoch + 1, act.owner))
            and (act.sender == act.owner or may_act(state, act.owner, act.sender, type_url(act.message), self._time_ns))
            for act in transaction.acts
        )
