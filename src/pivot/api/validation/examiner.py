"""One check of an answer, from the chain's record to a verdict."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Protocol

import aiohttp

from pivot.api.between_hosts.client import NotAnswered
from pivot.api.database import Database
from pivot.api.fleet.arguments import registered_arguments
from pivot.api.fleet.interface import Lease, NoNodeAvailable
from pivot.api.inference.artifacts import keep_anothers
from pivot.api.inference.engine import EngineFailed, NodeLost
from pivot.api.ledger.interface import Chain
from pivot.api.validation.artifacts_client import ArtifactsClient
from pivot.api.validation.checks import Verdict
from pivot.api.validation.choice import choosing_of
from pivot.api.validation.evidence import Evidence, WrongArtifact, evidence_of
from pivot.api.validation.judge import MILLION, Judgement, judge
from pivot.api.validation.purses import HELD, Purses
from pivot.api.validation.replay import USUAL_MAX_LOGPROBS, NotTheTexts, TokensRefused, replay
from pivot.api.validation.tables import Check, Kind
from pivot.api.validation.thresholds import thresholds_of
from pivot.api.validation.vectors import Given, found_again, given_in, judge_vectors
from pivot.primitives.fixed_point import ONE
from pivot.protocol.decimals import fixed_point
from pivot.protocol.engine_arguments import MAX_LOGPROBS, InvalidArgument, gives_vectors, split
from pivot.protocol.generated.inference.inference.types_pb2 import AnswerVerdict, Inference, Model

REASONING_PARSER = "--reasoning-parser"
URGENT_WAIT_S = 30.0
"""How long a check whose end is near waits for a node, among customers' requests."""

log = logging.getLogger(__name__)


class Lender(Protocol):
    """Who lends own ML nodes (`fleet/fleet.py`)."""

    def lend(self, model: str, *, wait_s: float, spare: bool = False) -> AbstractAsyncContextManager[Lease]:
        """As `Fleet.lend`. spare: only a node that is at most half busy."""
        ...


class NotYet(Exception):
    """The check could not be done now; it may be tried again."""


class Examiner:
    """Does checks, one call each; all may run at the same time."""

    def __init__(
        self, database: Database, chain: Chain, client: ArtifactsClient, lender: Lender, http: aiohttp.ClientSession
    ) -> None:
        self._database = database
        self._chain = chain
        self._client = client
        self._lender = lender
        self._http = http
        self._purses = Purses()

    async def examine(self, check: Check, *, urgent: bool, patience_over: bool) -> Verdict | None:
        """What is to be said of an answer; None when the chain knows it no more.

        urgent: whether the end of the check is near, so that it may take a node from customers. patience_over: whether an
        artifact that is not handed out now is withheld. Raises NotYet, LedgerError.
        """
        record = await self._chain.inference(check.inference_id)
        if record is None:
            return None
        try:
            compressed, raw = await self._artifact(check, record)
        except NotAnswered as error:
            if patience_over:
                return Verdict(AnswerVerdict.ANSWER_WITHHELD, reason=str(error))
            raise NotYet(str(error)) from error
        found = await self._judged(check, record, raw, urgent=urgent)
        if found.verdict == AnswerVerdict.ANSWER_FAILED:
            log.warning("%s answered %s wrongly: %s", record.executed_by, record.inference_id, found.reason)
            epoch = record.finished_epoch_id
            await keep_anothers(self._database, record.inference_id, epoch, record.artifact_hash, compressed)
        return found

    async def _artifact(self, check: Check, record: Inference) -> tuple[bytes, bytes]:
        """From the executor; in a dispute also from who has called the answer wrong."""
        try:
            return await self._client.artifact(record.executed_by, record)
        except NotAnswered:
            if not check.accuser:
                raise
            return await self._client.artifact(check.accuser, record)

    async def _judged(self, check: Check, record: Inference, raw: bytes, *, urgent: bool) -> Verdict:
        registered = await self._registered(record)
        try:
            if gives_vectors(registered.model_args):
                given = await asyncio.to_thread(given_in, raw, record)
                return await self._found_again(record, registered, given, urgent=urgent)
            evidence = await asyncio.to_thread(evidence_of, raw, record)
            if not _is_about_text(evidence.request):
                return Verdict(AnswerVerdict.ANSWER_PASSED, MILLION)
            found = await self._replayed(record, registered, evidence, urgent=urgent)
        except (WrongArtifact, NotTheTexts, TokensRefused) as error:
            return Verdict(AnswerVerdict.ANSWER_FAILED, reason=str(error))
        suspicion = self._suspicion(check, record, found)
        if found.passed and suspicion:
            return Verdict(AnswerVerdict.ANSWER_FAILED, found.value_e6, suspicion)
        return _verdict(found)

    def _suspicion(self, check: Check, record: Inference, found: Judgement) -> str:
        """Why an answer fails even without a fault of its own: its host's answers together; empty when it does not.

        A duty is drawn by lot, so its answer counts for its host. An answer under dispute was picked by whoever disputes it.
        """
        host, model = record.executed_by, record.model
        if check.kind == Kind.DUTY and found.made:
            self._purses.add(host, model, found.made)
        odds = self._purses.suspicion(host, model)
        return f"its host's tokens are not chosen as asked: odds of {odds:.1f} nats" if odds > HELD else ""

    async def _found_again(self, record: Inference, registered: Model, given: Given, *, urgent: bool) -> Verdict:
        async with self._lent(record.model, urgent=urgent) as url:
            vectors, tokens = await found_again(self._http, url, given)
        arguments, least = _arguments(registered), _least_similarity(registered)
        return _verdict(judge_vectors(given, vectors, tokens, arguments, least_similarity=least))

    async def _replayed(self, record: Inference, registered: Model, evidence: Evidence, *, urgent: bool) -> Judgement:
        arguments = _arguments(registered)
        offered = arguments.get(MAX_LOGPROBS, "")
        async with self._lent(record.model, urgent=urgent) as url:
            replayed = await replay(
                self._http,
                url,
                record.model,
                evidence,
                max_logprobs=int(offered) if offered.isdecimal() else USUAL_MAX_LOGPROBS,
                plain_text=REASONING_PARSER not in arguments,
            )
        thresholds, defaults = thresholds_of(record.model, arguments)
        return await asyncio.to_thread(
            judge,
            evidence.positions[: len(replayed)],
            replayed,
            choosing_of(evidence.request, defaults),
            thresholds,
            least_similarity=_least_similarity(registered),
        )

    @asynccontextmanager
    async def _lent(self, model: str, *, urgent: bool) -> AsyncIterator[str]:
        """The URL of an own engine. Raises NotYet when there is none now, or it fails."""
        try:
            async with self._lender.lend(model, wait_s=URGENT_WAIT_S if urgent else 0.0, spare=not urgent) as lease:
                yield lease.inference_url
        except (NoNodeAvailable, EngineFailed, NodeLost) as error:
            raise NotYet(f"no own node has computed it: {error}") from error

    async def _registered(self, record: Inference) -> Model:
        """The model as it was registered when the answer's epoch was formed; if nobody served it then, when it was asked."""
        for epoch in (record.finished_epoch_id, record.epoch_id):
            group = await self._chain.epoch_group(epoch, record.model)
            if group is not None:
                return group.model_snapshot
        return Model(id=record.model)


def _arguments(model: Model) -> dict[str, str]:
    """Of its registration, by name; none if they cannot be read."""
    try:
        return split(registered_arguments(model))
    except InvalidArgument:
        return {}


def _verdict(found: Judgement) -> Verdict:
    verdict = AnswerVerdict.ANSWER_PASSED if found.passed else AnswerVerdict.ANSWER_FAILED
    return Verdict(verdict, found.value_e6, found.reason)


def _least_similarity(model: Model) -> float:
    if not model.HasField("validation_threshold"):
        return 0.0
    return fixed_point(model.validation_threshold) / ONE


def _is_about_text(request: dict[str, Any]) -> bool:
    """Whether text is asked for by text alone. No engine reads pictures from token ids."""
    messages = request.get("messages")
    contents = (
        [each.get("content") for each in messages if isinstance(each, dict)] if isinstance(messages, list) else []
    )
    parts = [part for content in contents if isinstance(content, list) for part in content]
    return all(not isinstance(part, dict) or part.get("type") == "text" for part in parts)
