"""Hosts whose answers are checked, in this process: real engine, real HTTP between hosts, real database; the chain is held here."""

import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import zstandard
from starlette.responses import Response
from starlette.routing import Route

from pivot.api.database import Database
from pivot.api.fleet.interface import Lease, NoNodeAvailable
from pivot.api.identity import Identity
from pivot.api.inference import artifacts, engine
from pivot.api.inference.request import parse
from pivot.api.inference.transcript import Transcript
from pivot.api.poc.records import SprintRecord, keep_sprint, sprint_record
from pivot.api.settings import ApiSettings
from pivot.api.validation.artifacts_api import ARTIFACT_PATH
from pivot.api.validation.service import AnswerChecking
from pivot.primitives.hashes import sha256
from pivot.protocol import hash_chain
from pivot.protocol.epochs import segment_end
from pivot.protocol.generated.inference.inference import query_pb2 as queries
from pivot.protocol.generated.inference.inference.tx_pb2 import MsgCommitPoc
from pivot.protocol.generated.inference.inference.types_pb2 import (
    CheckerDuties,
    Dispute,
    DisputeOutcome,
    EpochGroupData,
    EpochGroupValidations,
    HashChain,
    Inference,
    InferenceValidationDetails,
    MLNodeInfo,
    Model,
    Participant,
    PocNodeCommit,
    ValidationWeight,
)
from tests.api.databases import DatabaseAt, sqlite_at
from tests.api.fleet.chain import CHAIN_ID, NOT_FOUND, FakeChain, FakeOutbox, FakePhases, epoch, key
from tests.api.serving import public_port, serving

MODEL = "pivot/tiny-chat"
EPOCH = 1
SEGMENT = 2
MARKS = epoch(EPOCH).boundaries
OVER = segment_end(MARKS, SEGMENT) + 1
"""The first height at which the segment's answers are all there."""


def untouched(_document: dict[str, Any]) -> None:
    """What an honest host does to its artifact."""


@dataclass
class CheckChain(FakeChain):
    """The chain with answers, draws and disputes. Every host has revealed the elements up to `elements`."""

    records: dict[str, Inference] = field(default_factory=dict)
    disputes: dict[str, Dispute] = field(default_factory=dict)
    reported: dict[str, list[str]] = field(default_factory=dict)
    due: dict[str, int] = field(default_factory=dict)
    elements: int = SEGMENT + 1
    page_size: int = 1_000

    async def inference(self, inference_id: str) -> Inference | None:
        self._note("Inference")
        return self.records.get(inference_id)

    async def query(self, path: str, request: Any, response: type[Any]) -> Any:
        name = path.rsplit("/", 1)[1]
        match name:
            case "HashChain":
                self._note(name)
                if not self.elements:
                    raise NOT_FOUND
                last = element(request.participant, self.elements - 1)
                record = HashChain(participant=request.participant, last=last, revealed=self.elements)
                return queries.QueryHashChainResponse(hash_chain=record)
            case "InferenceValidationDetailsAll":
                self._note(name)
                found = [self.details(each) for _, each in sorted(self.records.items())]
                mine = [
                    each for each in found if (each.epoch_id, each.segment) == (request.epoch_index, request.segment)
                ]
                begin = int(request.pagination.key or b"0")
                page = queries.QueryAllInferenceValidationDetailsResponse(
                    inferenceValidationDetails=mine[begin : begin + self.page_size]
                )
                if begin + self.page_size < len(mine):
                    page.pagination.next_key = b"%d" % (begin + self.page_size)
                return page
            case "InferenceValidationDetails":
                self._note(name)
                if request.inferenceId not in self.records:
                    raise NOT_FOUND
                details = self.details(self.records[request.inferenceId])
                return queries.QueryGetInferenceValidationDetailsResponse(inferenceValidationDetails=details)
            case "Dispute":
                self._note(name)
                if request.inference_id not in self.disputes:
                    raise NOT_FOUND
                return queries.QueryDisputeResponse(dispute=self.disputes[request.inference_id])
            case "Disputes":
                self._note(name)
                return queries.QueryDisputesResponse(disputes=self.disputes.values())
            case "EpochGroupValidations":
                self._note(name)
                done = EpochGroupValidations(validated_inferences=self.reported.get(request.participant, []))
                return queries.QueryGetEpochGroupValidationsResponse(epoch_group_validations=done)
            case "CheckerDuties":
                self._note(name)
                done = len(self.reported.get(request.participant, []))
                duties = CheckerDuties(due=self.due.get(request.participant, done), done=done)
                return queries.QueryCheckerDutiesResponse(duties=duties)
        return await super().query(path, request, response)

    def details(self, record: Inference) -> InferenceValidationDetails:
        """With no reputation and little traffic every other host is drawn, for one check in all."""
        weights = {each.member_address: each.weight for each in self.groups[EPOCH, MODEL].validation_weights}
        return InferenceValidationDetails(
            epoch_id=record.finished_epoch_id,
            inference_id=record.inference_id,
            executor_id=record.executed_by,
            executor_power=weights.get(record.executed_by, 0),
            total_power=sum(weights.values()),
            model=record.model,
            segment=record.segment,
        )

    def form(self, weights: dict[str, int]) -> None:
        """Let these hosts be the members of the epoch, all serving the model."""
        for model in ("", MODEL):
            self.groups[EPOCH, model] = EpochGroupData(
                epoch_index=EPOCH,
                model_id=model,
                model_snapshot=Model(id=MODEL, context_window=1024),
                sub_group_models=[MODEL],
                validation_weights=[
                    ValidationWeight(member_address=address, weight=weight, ml_nodes=[MLNodeInfo()])
                    for address, weight in weights.items()
                ],
            )

    def dispute(self, record: Inference, accuser: str, deadline: int) -> None:
        self.disputes[record.inference_id] = Dispute(
            inference_id=record.inference_id,
            epoch_index=EPOCH,
            executor=record.executed_by,
            accuser=accuser,
            opened_at_height=OVER,
            deadline_height=deadline,
            outcome=DisputeOutcome.DISPUTE_OPEN,
        )


def secret(address: str) -> bytes:
    return sha256(address.encode())


def element(address: str, index: int) -> bytes:
    return hash_chain.element(CHAIN_ID, EPOCH, address, secret(address), index)


class Lender:
    """Lends one engine, as long as it is not switched off."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.busy = False
        self.asked: list[bool] = []

    @asynccontextmanager
    async def lend(self, model: str, *, wait_s: float, spare: bool = False) -> AsyncIterator[Lease]:
        assert model == MODEL
        self.asked.append(spare)
        if self.busy and spare:
            raise NoNodeAvailable("all are busy")
        yield Lease("node1", self.url)


@dataclass
class Host:
    identity: Identity
    database: Database
    outbox: FakeOutbox
    lender: Lender
    checking: AnswerChecking
    server: "Server"

    @property
    def address(self) -> str:
        return self.identity.address

    def sent(self, kind: type[Any]) -> list[Any]:
        return [each for each in self.outbox.messages.values() if isinstance(each, kind)]


@dataclass
class Server:
    """The public port of a host, which may hang up."""

    checking: AnswerChecking | None = None
    asked: int = 0
    away: bool = False

    async def artifacts(self, request: Any) -> Response:
        self.asked += 1
        if self.away or self.checking is None:
            return Response("gone", 503)
        return await self.checking.artifacts.endpoint(request)


@asynccontextmanager
async def host(
    chain: CheckChain,
    phases: FakePhases,
    home: Path,
    engine_url: str,
    number: int,
    database_at: DatabaseAt = sqlite_at,
    *,
    started: bool = True,
) -> AsyncIterator[Host]:
    """Host `number`, a member with a hash chain."""
    identity = Identity(account=key(number), gateway=key(number + 100))
    settings = ApiSettings(home=home)
    settings.api.allow_private_urls = True
    server, outbox, lender = Server(), FakeOutbox(), Lender(engine_url)
    app = public_port(Route(ARTIFACT_PATH, server.artifacts))
    async with database_at(home) as database, aiohttp.ClientSession() as http, serving(app) as url:
        if await sprint_record(database, EPOCH) is None:
            commit = MsgCommitPoc(epoch_index=EPOCH, nodes=[PocNodeCommit(node_number=1, count=1)])
            await keep_sprint(database, SprintRecord(EPOCH, secret(identity.address), commit))
        server.checking = AnswerChecking(database, settings, identity, chain, outbox, lender, phases, http)
        chain.participants[identity.address] = Participant(address=identity.address, inference_url=url)
        chain.keys[identity.address] = [identity.account.public_key]
        if started:
            await server.checking.start()
        yield Host(identity, database, outbox, lender, server.checking, server)
        if started:
            await server.checking.close()


async def answered(
    executor: Host,
    chain: CheckChain,
    engine_url: str,
    text: str = "What is an epoch?",
    *,
    shaped: Callable[[dict[str, Any]], None] = untouched,
    max_tokens: int = 24,
    instead: Mapping[str, Any] | None = None,
    **fields: Any,
) -> Inference:
    """An answer of `executor`, as the request path makes it, and its record.

    shaped: what a cheat does to the artifact. instead: what it asks its engine for, other than the developer did.
    """
    question = {"model": MODEL, "messages": [{"role": "user", "content": text}], "max_tokens": max_tokens, **fields}
    body = orjson.dumps(question)
    request = parse(body)
    inference_id = f"{text}/{len(chain.records)}+{time.time_ns()}="
    transcript = Transcript(request, inference_id)
    asked = orjson.dumps(
        {**orjson.loads(engine.engine_body(request, max_tokens, seed=7, stream=False)), **(instead or {})}
    )
    async with (
        aiohttp.ClientSession() as http,
        http.post(
            engine_url + "/v1/chat/completions", data=asked, headers={"Content-Type": "application/json"}
        ) as reply,
    ):
        assert reply.status == 200, await reply.text()
        transcript.whole(await reply.read())
    document = orjson.loads(artifacts.document(transcript, max_tokens, 7))
    shaped(document)
    contents = orjson.dumps(document, option=orjson.OPT_SORT_KEYS)
    digest = sha256(contents).hex()
    compressed = zstandard.ZstdCompressor().compress(contents)
    await artifacts.keep_anothers(executor.database, inference_id, EPOCH, digest, compressed)
    record = Inference(
        index=inference_id,
        inference_id=inference_id,
        prompt_hash=request.body_hash,
        response_hash=transcript.response_hash,
        artifact_hash=digest,
        prompt_token_count=transcript.prompt_token_count,
        completion_token_count=transcript.completion_token_count,
        executed_by=executor.address,
        model=MODEL,
        max_tokens=max_tokens,
        epoch_id=EPOCH,
        finished_epoch_id=EPOCH,
        segment=SEGMENT,
    )
    chain.records[inference_id] = record
    return record
