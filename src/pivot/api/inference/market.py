"""The chain as the request path sees it: who serves a model now, at what price, and who can pay.

The chain's answers may be a block old (`ledger/answers.py`), so that a request costs no look-up of its own. They decide only
what this node offers; what a request costs in the end is the chain's decision.
"""

from dataclasses import dataclass

from pivot.api.http.errors import Unavailable, UnknownModel, WrongEndpoint
from pivot.api.inference.request import Request, paths_of
from pivot.api.ledger.interface import Chain
from pivot.api.phases import Moment, Phases
from pivot.protocol import draw
from pivot.protocol.engine_arguments import gives_vectors
from pivot.protocol.generated.inference.inference.types_pb2 import Participant
from pivot.protocol.signing import WARM_KEY_GRANT

REMEMBERED_EPOCHS = 3
NEXT_EPOCH_WAIT_SECONDS = 2.0


@dataclass(frozen=True)
class Group:
    """The hosts that serve a model in one epoch: an immutable snapshot."""

    line: draw.Line
    """With their weights; it is made once for all requests of the epoch."""
    context_window: int
    gives_vectors: bool


@dataclass(frozen=True)
class Terms:
    """On what terms a model is served in one epoch."""

    model: str
    epoch: int
    line: draw.Line
    """The hosts that serve it."""
    randomness: bytes
    context_window: int
    price: int
    """ngonka per token."""
    gives_vectors: bool = False
    """And so no chats or completions."""

    def candidates(self, inference_id: str) -> list[str]:
        """The hosts that may answer, first choice first."""
        return draw.executors(self.line, inference_id, self.randomness)

    def require_offered(self, request: Request) -> None:
        """Raises WrongEndpoint for a request that this model is not asked."""
        if request.wants_vectors != self.gives_vectors:
            offered = " or ".join(paths_of(self.gives_vectors))
            raise WrongEndpoint(f"{self.model!r} is not served at {request.path}; ask it at {offered}", param="model")


class Market:
    """What the network offers at the moment."""

    def __init__(self, chain: Chain, phases: Phases) -> None:
        self._chain = chain
        self._phases = phases
        self._randomness: dict[int, bytes] = {}
        self._groups: dict[tuple[int, str], Group] = {}
        """By epoch and model; only such as the chain has a price for."""

    @property
    def moment(self) -> Moment:
        """Where the network stands. Raises Unavailable while this node does not know it."""
        moment = self._phases.moment
        if moment is None or not moment.synced:
            raise Unavailable("this node is still catching up with the chain")
        return moment

    @property
    def height(self) -> int:
        """The newest block seen."""
        return self._phases.moment.head.height if self._phases.moment else 0

    def note(self, moment: Moment) -> None:
        """Remember an epoch's randomness for the grace in which its starts are still good."""
        self._randomness[moment.effective.index] = moment.effective.randomness
        for index in sorted(self._randomness)[:-REMEMBERED_EPOCHS]:
            del self._randomness[index]
            self._groups = {key: group for key, group in self._groups.items() if key[0] != index}

    async def terms(self, model: str, epoch: int | None = None) -> Terms:
        """The terms of a model, in the current epoch or in the one that a start names.

        Raises UnknownModel, or Unavailable when no host serves it in that epoch.
        """
        price = await self._chain.model_price(model)
        if price is None:
            raise UnknownModel(f"the network serves no model {model!r}", param="model")
        current = self.moment
        if current.effective.index not in self._randomness:
            self.note(current)
        index = current.effective.index if epoch is None else epoch
        if index not in self._randomness or (group := await self._group(index, model)) is None:
            raise Unavailable(f"no host serves {model!r} in epoch {index}")
        randomness = self._randomness[index]
        return Terms(
            model, index, group.line, randomness, group.context_window, price, gives_vectors=group.gives_vectors
        )

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
        return await self._chain.balance(address)

    async def host(self, address: str) -> Participant | None:
        """A host's record: its URL, its status, its gateway account."""
        return await self._chain.participant(address)

    async def signing_keys(self, address: str) -> list[bytes]:
        """Keys that may sign a host's word on requests, as transfer agent and as executor."""
        return await self._chain.public_keys(address, WARM_KEY_GRANT)

    async def _group(self, epoch: int, model: str) -> Group | None:
        known = self._groups.get((epoch, model))
        if known is not None:
            return known
        formed = await self._chain.epoch_group(epoch, model)
        if formed is None or not formed.validation_weights:
            return None
        line = draw.Line([(each.member_address, each.weight) for each in formed.validation_weights])
        snapshot = formed.model_snapshot
        group = Group(line, snapshot.context_window, gives_vectors(snapshot.model_args))
        self._groups[epoch, model] = group
        return group
