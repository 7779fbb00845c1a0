"""Checking one host's proof of compute: a secret sample of its leaves, their proofs, and their recomputation."""

import asyncio
import itertools
import logging
import secrets
from collections.abc import Awaitable, Callable, Iterator, Sequence

from pivot.api.between_hosts.client import NotAnswered
from pivot.api.fleet.interface import NoNodeAvailable
from pivot.api.poc.leaves_api import MAX_INDICES, ServedLeaf
from pivot.protocol.generated.inference.inference.types_pb2 import PocCommit, PocNodeCommit, PocVerdict, PocVote
from pivot.protocol.mlnode_api import ValidateRequest, encode_fingerprints
from pivot.protocol.sprint import (
    FINGERPRINT_BYTES,
    MAX_CHECKED_LEAVES,
    SprintPreset,
    judge,
    leaf_bytes,
    nonce_of,
    verify_merkle_proof,
)

RETRY_PAUSE_S = 0.25
"""Before a host that did not hand out leaves is asked again."""
BATCH_ID_BYTES = 8

Source = Callable[[int, Sequence[int]], Awaitable[list[ServedLeaf]]]
"""Leaves by node number and indices; raises NotAnswered."""
Recompute = Callable[[ValidateRequest], Awaitable[list[int]]]
"""Distances of claimed leaves; raises NoNodeAvailable."""

log = logging.getLogger(__name__)
_random = secrets.SystemRandom()


class HostCheck:
    """The check of one commit. `run` goes on until all is known; `vote` says what is known so far."""

    def __init__(
        self,
        commit: PocCommit,
        preset: SprintPreset,
        sample_size: int,
        *,
        sprint_seed: bytes,
        source: Source,
        recompute: Recompute,
        late: bool = False,
    ) -> None:
        """`late`: begun when the host had little time left to answer, so its silence proves nothing."""
        self.commit = commit
        self._preset = preset
        self._sprint_seed = sprint_seed
        self._source = source
        self._recompute = recompute
        self._late = late
        self._samples = list(draw_samples(commit.nodes, min(sample_size, MAX_CHECKED_LEAVES)))
        self._leaves: dict[int, bytes | None] = {}
        """By nonce, once the host has answered: the fingerprint, None if it is not what was committed to."""
        self._distances: dict[int, int] = {}
        """By nonce, once recomputed."""

    async def run(self) -> None:
        """Fetch and recompute every part of the sample, all at once."""
        await asyncio.gather(*(self._check(node, indices) for node, indices in self._samples))

    def vote(self) -> PocVote:
        """The vote on this host. What it did not hand out counts as mismatched.

        An abstention when a leaf could not be recomputed, or when there is none: a verdict rests on at least one.
        """
        wanted = [nonce_of(node.node_number, index) for node, indices in self._samples for index in indices]
        unanswered = any(nonce not in self._leaves for nonce in wanted)
        unchecked = any(self._leaves.get(nonce) is not None and nonce not in self._distances for nonce in wanted)
        host = self.commit.participant
        if not wanted or unchecked or (self._late and unanswered):
            return PocVote(participant=host, verdict=PocVerdict.POC_ABSTAIN)
        judgement = judge(self._preset, [self._distances.get(nonce) for nonce in wanted])
        verdict = PocVerdict.POC_VALID if judgement.valid else PocVerdict.POC_INVALID
        if not judgement.valid:
            log.warning("%s: %d of %d leaves mismatch", host, judgement.mismatched, judgement.checked)
        return PocVote(participant=host, checked=judgement.checked, mismatched=judgement.mismatched, verdict=verdict)

    async def _check(self, node: PocNodeCommit, indices: Sequence[int]) -> None:
        for leaf in await self._fetch(node, indices):
            self._leaves[nonce_of(node.node_number, leaf.index)] = proven_fingerprint(node, leaf)
        nonces = [nonce_of(node.node_number, index) for index in indices]
        proven = {nonce: found for nonce in nonces if (found := self._leaves[nonce]) is not None}
        if not proven:
            return
        request = ValidateRequest(
            batch_id=f"{self.commit.epoch_index}-{self.commit.participant}-{secrets.token_hex(BATCH_ID_BYTES)}",
            host_address=self.commit.participant,
            nonces=list(proven),
            fingerprints=encode_fingerprints(b"".join(proven.values())),
            epoch=self.commit.epoch_index,
            sprint_seed=self._sprint_seed.hex(),
        )
        try:
            distances = await self._recompute(request)
        except NoNodeAvailable as error:
            log.warning("%s is not checked: %s", self.commit.participant, error)
            return
        self._distances |= dict(zip(proven, distances, strict=True))

    async def _fetch(self, node: PocNodeCommit, indices: Sequence[int]) -> list[ServedLeaf]:
        """Exactly the leaves wanted; the host is asked until it hands them out."""
        reported = ""
        while True:
            try:
                served = {leaf.index: leaf for leaf in await self._source(node.node_number, indices)}
                return [served[index] for index in indices]
            except NotAnswered as error:
                reason = str(error)
            except KeyError as error:
                reason = f"leaf {error} is missing in the answer"
            if reason != reported:
                log.warning("%s does not hand out its leaves: %s", self.commit.participant, reason)
                reported = reason
            await asyncio.sleep(RETRY_PAUSE_S)


def proven_fingerprint(node: PocNodeCommit, leaf: ServedLeaf) -> bytes | None:
    """The fingerprint that the node has committed to, None if the answer does not prove it."""
    try:
        fingerprint, proof = leaf.content()
    except ValueError:
        return None
    if len(fingerprint) != FINGERPRINT_BYTES:
        return None
    content = leaf_bytes(nonce_of(node.node_number, leaf.index), fingerprint)
    proven = verify_merkle_proof(node.merkle_root, node.count, leaf.index, content, proof)
    return fingerprint if proven else None


def draw_samples(nodes: Sequence[PocNodeCommit], size: int) -> Iterator[tuple[PocNodeCommit, list[int]]]:
    """`size` leaves of all nodes together, each as likely as any other, in parts that fit one request.

    Drawn by the operating system's secret randomness: nobody can foresee which leaves a checker asks for.
    """
    ends = list(itertools.accumulate(node.count for node in nodes))
    total = ends[-1] if ends else 0
    chosen = sorted(_random.sample(range(total), min(size, total)))
    begin = 0
    for node, end in zip(nodes, ends, strict=True):
        indices = [place - begin for place in chosen if begin <= place < end]
        for start in range(0, len(indices), MAX_INDICES):
            yield node, indices[start : start + MAX_INDICES]
        begin = end
