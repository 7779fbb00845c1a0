"""A network of API nodes in this process: real HTTP between developer, hosts and ML nodes; chain, blocks and fleet are held here."""

import asyncio
import itertools
import secrets
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import uvicorn
from google.protobuf.message import Message

from pivot.api.database import Database
from pivot.api.fleet.interface import Lease, NoNodeAvailable
from pivot.api.http.openai import QuestionEndpoint
from pivot.api.identity import Identity
from pivot.api.inference.request import CHAT_PATH
from pivot.api.inference.service import InferenceService
from pivot.api.keys.issued import Terms
from pivot.api.ledger.interface import GRPC_CODESPACE, ChainRefused, Head, Outcome
from pivot.api.phases import Listener, Moment
from pivot.api.settings import ApiSettings, HttpSettings
from pivot.api.tls import session_to_ml_nodes
from pivot.primitives.keys import PrivateKey
from pivot.protocol import draw, signing
from pivot.protocol.epochs import Phase
from pivot.protocol.generated.inference.inference.query_pb2 import QueryDisputesResponse
from pivot.protocol.generated.inference.inference.tx_pb2 import MsgFinishInference, MsgStartInference
from pivot.protocol.generated.inference.inference.types_pb2 import (
    ActiveParticipants,
    Epoch,
    EpochGroupData,
    Inference,
    Model,
    Participant,
    ParticipantStatus,
    ValidationWeight,
)
from pivot.protocol.parameters import preset_params
from tests.api.databases import DatabaseAt, sqlite_at
from tests.api.inference.engine import FakeEngine
from tests.api.serving import served, url_of

MODEL = "pivot/tiny"
PRICE = 100
CONTEXT_WINDOW = 1024
EPOCH = 7
BLOCK_TIME_NS = 1_800_000_000 * 10**9
API_KEY = "sk-test"
_stamps = itertools.count(BLOCK_TIME_NS)


@dataclass
class FakeChain:
    """The chain's answers, and how often it was asked."""

    chain_id: str = "pivot-test"
    balances: dict[str, int] = field(default_factory=dict)
    participants: dict[str, Participant] = field(default_factory=dict)
    groups: dict[tuple[int, str], EpochGroupData] = field(default_factory=dict)
    inferences: dict[str, Inference] = field(default_factory=dict)
    answers: dict[str, Message] = field(default_factory=lambda: {"Disputes": QueryDisputesResponse()})
    """Of queries, by the method's name."""
    asked: list[Message] = field(default_factory=list)
    failure: Exception | None = None

    async def query(self, path: str, request: Message, response: type[Message]) -> Any:
        if self.failure:
            raise self.failure
        self.asked.append(request)
        answer = self.answers.get(path.rpartition("/")[2])
        if answer is None:
            raise ChainRefused(5, GRPC_CODESPACE, "not found")
        return answer

    async def active_participants(self, epoch: int) -> ActiveParticipants | None:
        return None

    async def model_price(self, model: str) -> int | None:
        if self.failure:
            raise self.failure
        return PRICE if model == MODEL else None

    async def balance(self, address: str) -> int:
        return self.balances.get(address, 0)

    async def participant(self, address: str) -> Participant | None:
        return self.participants.get(address)

    async def epoch_group(self, epoch: int, model: str = "") -> EpochGroupData | None:
        return self.groups.get((epoch, model))

    async def public_keys(self, address: str, message_type: str) -> list[bytes]:
        host = self.participants.get(address)
        return [host.account_public_key] if host else []

    async def inference(self, inference_id: str) -> Inference | None:
        return self.inferences.get(inference_id)

    def form_group(self, epoch: int, weights: dict[str, int]) -> None:
        """Let these hosts be the members of an epoch, all serving the model."""
        members = [ValidationWeight(member_address=address, weight=weight) for address, weight in weights.items()]
        for model in ("", MODEL):
            self.groups[epoch, model] = EpochGroupData(
                epoch_index=epoch,
                model_id=model,
                validation_weights=members,
                model_snapshot=Model(id=model, context_window=CONTEXT_WINDOW),
            )


@dataclass
class FakeOutbox:
    """Keeps what was put."""

    entries: dict[str, Message] = field(default_factory=dict)
    outcome: Outcome | None = None

    async def put(self, key: str, message: Message, *, deadline_height: int = 0) -> None:
        self.entries.setdefault(key, message)

    async def wait(self, key: str, timeout_s: float) -> Outcome | None:
        assert key in self.entries
        return self.outcome

    def of_kind(self, kind: type[Message]) -> list[Any]:
        return [message for message in self.entries.values() if isinstance(message, kind)]


def moment_at(epoch: int = EPOCH, height: int = 1000, time_ns: int = BLOCK_TIME_NS) -> Moment:
    params = preset_params("devnet")
    effective = Epoch(index=epoch, params=params, randomness=bytes([epoch]) * 32)
    effective.boundaries.set_new_validators = 990
    return Moment(Head(height, time_ns, b"\1" * 32), effective, effective, Phase.INFERENCE, 2000, synced=True)


class FakePhases:
    """A moment that tests set."""

    def __init__(self) -> None:
        self.moment: Moment | None = moment_at()
        self._listeners: list[Listener] = []
        self.later: Moment | None = None

    def listen(self, listener: Listener) -> None:
        self._listeners.append(listener)

    async def wait_for(self, condition: Callable[[Moment], bool], timeout_s: float) -> Moment | None:
        return next((each for each in (self.moment, self.later) if each and condition(each)), None)

    async def set(self, moment: Moment) -> None:
        self.moment = moment
        for listener in self._listeners:
            await listener(moment)


@dataclass
class FakeFleet:
    """Lends the engines in turn; those that failed are not lent again."""

    engines: list[FakeEngine]
    lost: list[str] = field(default_factory=list)
    leased: int = 0
    free: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.free.set()

    @asynccontextmanager
    async def lend(self, model: str, *, wait_s: float) -> AsyncIterator[Lease]:
        try:
            async with asyncio.timeout(wait_s):  # unlike wait_for, it loses no cancellation
                await self.free.wait()
        except TimeoutError:
            raise NoNodeAvailable("all are busy") from None
        able = [engine for engine in self.engines if engine.url not in self.lost]
        if not able:
            raise NoNodeAvailable("none is left")
        self.leased += 1
        try:
            yield Lease(able[0].url, able[0].url)
        except (ConnectionError, aiohttp.ClientConnectionError):
            self.lost.append(able[0].url)
            raise
        finally:
            self.leased -= 1


@dataclass
class Host:
    """One API node with its ML nodes."""

    identity: Identity
    url: str
    service: InferenceService
    outbox: FakeOutbox
    fleet: FakeFleet
    phases: FakePhases
    database: Database
    endpoint: QuestionEndpoint
    server: uvicorn.Server

    @property
    def address(self) -> str:
        return self.identity.address

    @property
    def engine(self) -> FakeEngine:
        return self.fleet.engines[0]

    async def settled(self) -> list[MsgFinishInference]:
        """Finishes, once all that was answered is recorded."""
        await self.service.transfer.close()
        await self.service.execution.close()
        found: list[MsgFinishInference] = self.outbox.of_kind(MsgFinishInference)
        return found

    async def started(self) -> list[MsgStartInference]:
        """Starts of this transfer agent, once all is recorded: by themselves, or in finishes of its own."""
        own = [finish.start for finish in await self.settled() if finish.start.transferred_by == self.address]
        alone: list[MsgStartInference] = self.outbox.of_kind(MsgStartInference)
        return list({start.inference_id: start for start in (*own, *alone)}.values())


@dataclass
class Network:
    chain: FakeChain
    hosts: list[Host]
    developer: PrivateKey
    http: aiohttp.ClientSession

    def body(self, text: str = "What is an epoch?", **fields: Any) -> bytes:
        request = {"model": MODEL, "messages": [{"role": "user", "content": text}], "max_tokens": 8, **fields}
        return orjson.dumps({name: value for name, value in request.items() if value is not None})

    def signed(self, body: bytes, host: Host, stamp: int | None = None) -> dict[str, str]:
        """Headers of gonka-openai 0.2.6."""
        stamp = next(_stamps) if stamp is None else stamp
        message = signing.developer_sign_bytes(signing.body_hash(body), stamp, host.address)
        return {
            "Authorization": self.developer.sign_base64(message),
            "X-Requester-Address": self.developer.address,
            "X-Timestamp": str(stamp),
        }

    def completion(self, prompt: Any = "An epoch", **fields: Any) -> bytes:
        """The body of a completion."""
        return self.body(messages=None, prompt=prompt, **fields)

    async def post(
        self, host: Host, body: bytes, headers: dict[str, str] | None = None, path: str = CHAT_PATH
    ) -> "Reply":
        """A request with the API key unless headers are given."""
        told = {"Authorization": f"Bearer {API_KEY}"} if headers is None else headers
        async with self.http.post(host.url + path, data=body, headers=told) as answer:
            return Reply(answer.status, await answer.read(), answer.headers)

    def drawn(self, inference_id: str, epoch: int = EPOCH) -> list[str]:
        """The executors of a request, first choice first."""
        return draw.executors([(host.address, 10) for host in self.hosts], inference_id, bytes([epoch]) * 32)

    def first_drawn(self, host: Host, **fields: Any) -> tuple[bytes, dict[str, str]]:
        """A body and headers whose first executor is the given host, with the first host as transfer agent."""
        body = self.body(**fields)
        while True:
            headers = self.signed(body, self.hosts[0])
            if self.drawn(headers["Authorization"])[0] == host.address:
                return body, headers

    def start_for(self, host: Host, body: bytes, **changes: Any) -> MsgStartInference:
        """A start that host 0 as transfer agent would send for this body, with `changes` made before it signs."""
        agent = self.hosts[0]
        headers = self.signed(body, agent)
        drawn = self.drawn(headers["Authorization"], changes.get("epoch_id", EPOCH))
        fields: dict[str, Any] = {
            "creator": agent.address,
            "inference_id": headers["Authorization"],
            "prompt_hash": signing.body_hash(body),
            "model": MODEL,
            "requested_by": self.developer.address,
            "max_tokens": 8,
            "prompt_token_count": len(body) + 64,
            "request_timestamp": int(headers["X-Timestamp"]),
            "epoch_id": EPOCH,
            "transferred_by": agent.address,
            "developer_public_key": self.developer.public_key,
            "assigned_to": host.address,
            "attempt": drawn.index(host.address),
        }
        start = MsgStartInference(**{**fields, **changes})
        start.transfer_signature = agent.identity.account.sign_base64(signing.start_sign_bytes(start))
        return start


@dataclass(frozen=True)
class Reply:
    status: int
    raw: bytes
    headers: Mapping[str, str]

    @property
    def json(self) -> Any:
        return orjson.loads(self.raw)

    @property
    def error(self) -> str:
        return str(self.json["error"]["message"])

    @property
    def events(self) -> list[Any]:
        lines = [line.removeprefix(b"data: ") for line in self.raw.split(b"\n\n") if line]
        assert lines[-1] == b"[DONE]"
        return [orjson.loads(line) for line in lines[:-1]]


@asynccontextmanager
async def running_network(
    folder: Path, engines: Sequence[int] = (1, 1), database_at: DatabaseAt = sqlite_at
) -> AsyncIterator[Network]:
    """Hosts with so many ML nodes each."""
    async with AsyncExitStack() as stack:
        chain = FakeChain()
        http = await stack.enter_async_context(aiohttp.ClientSession())
        network = Network(chain, [], PrivateKey(secrets.token_bytes(32)), http)
        for number, count in enumerate(engines):
            nodes = [await stack.enter_async_context(FakeEngine.running()) for _ in range(count)]
            network.hosts.append(
                await stack.enter_async_context(running_host(folder / str(number), chain, nodes, database_at))
            )
        chain.form_group(EPOCH, {host.address: 10 for host in network.hosts})
        for each in network.hosts:
            chain.balances[each.identity.gateway.address] = 10**9
        chain.balances[network.developer.address] = 10**9
        yield network


@asynccontextmanager
async def running_host(
    home: Path,
    chain: FakeChain,
    engines: list[FakeEngine],
    database_at: DatabaseAt = sqlite_at,
    *,
    max_request_bytes: int = 65_536,
) -> AsyncIterator[Host]:
    http_settings = HttpSettings(allow_private_urls=True, max_request_bytes=max_request_bytes)
    settings = ApiSettings(home=home, api=http_settings)
    identity = Identity.load(home)
    outbox, fleet, phases = FakeOutbox(), FakeFleet(engines), FakePhases()
    async with database_at(home) as database, session_to_ml_nodes(http_settings) as http:
        service = InferenceService(settings, identity, database, chain, outbox, fleet, phases, http)  # type: ignore[arg-type]  # only what is asked
        await service.start()
        await service.api_keys.issue(Terms("tests"), API_KEY)
        endpoint = QuestionEndpoint(service)
        async with served(endpoint) as server:
            url = url_of(server)
            chain.participants[identity.address] = Participant(
                index=identity.address,
                address=identity.address,
                inference_url=url,
                status=ParticipantStatus.ACTIVE,
                account_public_key=identity.account.public_key,
                gateway_address=identity.gateway.address,
            )
            yield Host(identity, url, service, outbox, fleet, phases, database, endpoint, server)
        await service.close()
