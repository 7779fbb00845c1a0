"""The chain as the request path sees it: who serves a model now, at what price, and who can pay.

Everything is remembered for some seconds, so that a request costs no look-up of its own. What is remembered decides only
what this node offers; what a request costs in the end is the chain's decision.
"""

from dataclasses import dataclass

from pivot.api.http.errors import Unavailable, UnknownModel
from pivot.api.inference.remembered import Remembered
from pivot.api.ledger.interface import Chain
from pivot.api.phases import Moment, Phases
from pivot.protocol import draw
from pivot.protocol.generated.inference.inference.tx_pb2 import MsgStartInference
from pivot.protocol.generated.inference.inference.types_pb2 import Participant
from pivot.protocol.messages import type_url

FRESH_SECONDS = 2.0
STALE_SECONDS = 60.0
BALANCE_STALE_SECONDS = 5.0
REMEMBERED_EPOCHS = 3
NEXT_EPOCH_WAIT_SECONDS = 2.0
START_TYPE = type_url(MsgStartInference)


@dataclass(frozen=True)
class Terms:
    """On what terms a model is served in one epoch."""

    model: str
    epoch: int
    members: tuple[tuple[str, int], ...]
    """Hosts that serve it, with their weights: the epoch's immutable snapshot."""
    randomness: bytes
    context_window: int
    price: int
    """ngonka per token."""

    def candidates(self, inference_id: str) -> list[str]:
        """The hosts that may answer, first choice first."""
        return draw.executors(self.members, inference_id, self.randomness)


class Market:
    """What the network offers at the moment."""

    def __init__(self, chain: Chain, phases: Phases) -> None:
        self._chain = chain
        self._phases = phases
        self._randomness: dict[int, bytes] = {}
        self._prices = Remembered(chain.model_price, fresh_s=FRESH_SECONDS, stale_s=STALE_SECONDS)
        self._groups = Remembered(self._group, fresh_s=FRESH_SECONDS, stale_s=STALE_SECONDS)
        self._balances = Remembered(chain.balance, fresh_s=FRESH_SECONDS, stale_s=BALANCE_STALE_SECONDS)
        self._hosts = Remembered(chain.participant, fresh_s=FRESH_SECONDS, stale_s=STALE_SECONDS)
        self._keys = Remembered(self._transfer_keys, fresh_s=FRESH_SECONDS, stale_s=BALANCE_STALE_SECONDS)

    @property
    def moment(self) -> Moment:
        """Where the network stands. Raises Unavailable while this node does not know it."""
        moment = self._phases.moment
        if moment is None or not moment.synced:
            raise Unavailable("this node is still catching up with the chain")
        return moment

    def note(self, moment: Moment) -> None:
        """Remember an epoch's randomness for the grace in which its starts are still good."""
        self._randomness[moment.effective.index] = moment.effective.randomness
        for index in sorted(self._randomness)[:-REMEMBERED_EPOCHS]:
            del self._randomness[index]

    async def terms(self, model: str, epoch: int | None = None) -> Terms:
        """The terms of a model, in the current epoch or in the one that a start names.

        Raises UnknownModel, or Unavailable when no host serves it in that epoch.
        """
        price = await self._prices.get(model)
        if price is None:
            raise UnknownModel(f"the network serves no model {model!r}", param="model")
        current = self.moment
        if current.effective.index not in self._randomness:
            self.note(current)
        index = current.effective.index if epoch is None else epoch
        group = await self._groups.get((index, model))
        if group is None or index not in self._randomness:
            raise Unavailable(f"no host serves {model!r} in epoch {index}")
        members, context_window = group
        return Terms(model, index, members, self._randomness[index], context_window, price)

    async def reach(self, epoch: int) -> Moment:
        """The current moment; waits a little if another node has seen an epoch begin that this one has not."""
        moment = self.moment
        if moment.effective.index == epoch - 1:
            later = await self._phases.wait_for(lambda m: m.effective.index >= epoch, NEXT_EPOCH_WAIT_SECONDS)
            if later is not None:
                self.note(later)
                return later
        return moment

    async def balance(self, address: str) -> int:
        """ngonka that an account held a moment ago."""
        return await self._balances.get(address)

    async def host(self, address: str) -> Participant | None:
        """A host's record: its URL, its status, its gateway account."""
        return await self._hosts.get(address)

    async def transfer_keys(self, address: str) -> list[bytes]:
        """Keys that may sign a host's word as transfer agent."""
        return await self._keys.get(address)

    async def close(self) -> None:
        for remembered in (self._prices, self._groups, self._balances, self._hosts, self._keys):
            await remembered.close()

    async def _group(self, key: tuple[int, str]) -> tuple[tuple[tuple[str, int], ...], int] | None:
        epoch, model = key
        group = await self._chain.epoch_group(epoch, model)
        if group is None or not group.validation_weights:
            return None
        members = tuple((each.member_address, each.weight) for each in group.validation_weights)
        return members, group.model_snapshot.context_window

    async def _transfer_keys(self, address: str) -> list[bytes]:
        return await self._chain.public_keys(address, START_TYPE)
