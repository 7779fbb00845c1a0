"""Asking another host for leaves of its proof of compute."""

from collections.abc import Sequence
from functools import partial

from pydantic import ValidationError

from pivot.api.between_hosts.client import HostClient, NotAnswered
from pivot.api.identity import Identity
from pivot.api.ledger.interface import Chain
from pivot.api.poc.leaves_api import LEAVES_PATH, MAX_INDICES, LeavesAnswer, ServedLeaf
from pivot.protocol.signing import leaves_sign_bytes

MAX_ANSWER_BYTES = MAX_INDICES * 8_192


class LeavesClient:
    """Questions for leaves."""

    def __init__(self, identity: Identity, chain: Chain, *, allow_private: bool) -> None:
        self._chain = chain
        self._client = HostClient(identity, chain, allow_private=allow_private)

    async def close(self) -> None:
        await self._client.close()

    async def leaves(self, host: str, epoch: int, node_number: int, indices: Sequence[int]) -> list[ServedLeaf]:
        """At most MAX_INDICES leaves of one node of a host. Raises NotAnswered."""
        wanted = list(indices)
        named = ",".join(str(index) for index in wanted)
        raw = await self._client.ask(
            host,
            f"{LEAVES_PATH.format(epoch=epoch)}?node_number={node_number}&indices={named}",
            partial(leaves_sign_bytes, self._chain.chain_id, epoch, host, node_number, wanted),
            most_bytes=MAX_ANSWER_BYTES,
        )
        try:
            return LeavesAnswer.model_validate_json(raw).leaves
        except ValidationError as error:
            raise NotAnswered(f"host {host} did not answer with leaves: {error.error_count()} faults") from error
