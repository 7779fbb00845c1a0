"""The doors of a chain node, each with a function that throws one random thing at it. They raise AssertionError for what must not be."""

import asyncio
import base64
import contextlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from random import Random
from urllib.parse import quote

from cosmos.tx.v1beta1.service_pb2 import SimulateRequest
from google.api import annotations_pb2
from google.protobuf.message import DecodeError, Message
from tendermint.abci import types_pb2 as abci

from pivot.chain.gateway.committed import CommittedState
from pivot.chain.gateway.methods import Method
from pivot.chain.gateway.refusals import Refusal
from pivot.chain.gateway.rest import RestApplication
from pivot.chain.modules.params.state import view_of
from pivot.chain.registry import QUERIES
from pivot.chain.server.frames import BrokenFrame, FrameReader, encode_frame
from pivot.chain.types import View
from tests.simulation.duties import duties
from tests.simulation.engine import BlockPlan
from tests.simulation.operations import anything, hostile, requests
from tests.simulation.world import World

INTERNAL_ERROR = 500
BLOCK_OF_REFUSALS = 40
"""Refused transactions that are put in one block to compare its app hash with an empty block's."""


@dataclass
class Doors:
    """A world with some history, and the node's doors on it."""

    world: World
    methods: list[Method] = field(init=False)
    rest: RestApplication = field(init=False)
    refused: list[bytes] = field(default_factory=list)
    """Transactions that could not even be decoded."""

    def __post_init__(self) -> None:
        @contextmanager
        def view() -> Iterator[View]:
            yield view_of(self.world.state)

        self.committed = CommittedState(view, threads=1)
        self.methods = self.committed.methods(QUERIES)
        self.rest = RestApplication(self.methods)
        self.routes = [route for method in self.methods for route in _templates(method)]
        self.loop = asyncio.new_event_loop()

    def close(self) -> None:
        self.committed.close()
        self.loop.close()


def world_with_history(world: World, blocks: int = 30) -> World:
    """The world after some blocks in which everybody did what is due, and developers asked."""
    rng = Random("history")
    for _ in range(blocks):
        asked = [raw for _ in range(5) for raw in requests.record(world, rng)]
        plan = BlockPlan(world.height, world.time + 200_000_000)
        world.make_block(plan, [*duties(world), *asked])
    return world


def transaction_bytes(doors: Doors, rng: Random) -> None:
    """Bytes that are no transaction, or a damaged one, at CheckTx, in a proposal and in a simulation."""
    kind = rng.choice([hostile.garbage, hostile.damage, hostile.bad_signature])
    for raw in kind(doors.world, rng):
        _transaction(doors, raw)


def message_fields(doors: Doors, rng: Random) -> None:
    """A well-signed transaction with any message in it."""
    for raw in anything.message(doors.world, rng):
        _transaction(doors, raw)


def _transaction(doors: Doors, raw: bytes) -> None:
    application = doors.world.engine.application
    checked = application.check_tx(abci.RequestCheckTx(tx=raw))
    _require_reason(checked.code, checked.log, checked.codespace)
    application.process_proposal(abci.RequestProcessProposal(txs=[raw]))
    tried = application.query(abci.RequestQuery(path="/cosmos.tx.v1beta1.Service/Simulate", data=_simulation(raw)))
    _require_reason(tried.code, tried.log, tried.codespace)
    if checked.code:
        doors.refused.append(raw)
    if len(doors.refused) >= BLOCK_OF_REFUSALS:
        _require_no_other_state(doors)


def _require_no_other_state(doors: Doors) -> None:
    """A block of what CheckTx refused leaves nothing but what an empty block leaves."""
    world, engine = doors.world, doors.world.engine
    plan = BlockPlan(world.height, world.time + 200_000_000)
    empty = engine.application.finalize_block(engine._request(plan, []))
    full = engine.application.finalize_block(engine._request(plan, doors.refused))
    gone = [each for each in full.tx_results if each.code]
    if len(gone) == len(full.tx_results):
        assert full.app_hash == empty.app_hash, "refused transactions have left something"
    doors.refused.clear()


def frames(_: Doors, rng: Random) -> None:
    """Frames of the engine's socket, whole, cut anywhere, or broken."""
    messages = [rng.randbytes(rng.choice([0, 1, 127, 128, 5_000])) for _ in range(rng.randrange(4))]
    stream = b"".join(encode_frame(message) for message in messages)
    reader, found, at = FrameReader(), [], 0
    while at < len(stream):
        step = rng.randrange(1, 400)
        found.extend(reader.feed(stream[at : at + step]))
        at += step
    assert found == messages
    with contextlib.suppress(BrokenFrame):
        list(FrameReader().feed(rng.randbytes(rng.randrange(20))))


def abci_queries(doors: Doors, rng: Random) -> None:
    """`abci_query` with any path, key, height and proof."""
    paths = [
        "",
        "/",
        "/store/bank/key",
        f"/store/{rng.choice(['inference', 'nothing', ''])}/key",
        "/app/version",
        rng.choice(sorted(QUERIES.all())),
        "/" + "x/" * 50,
    ]
    answer = doors.world.engine.application.query(
        abci.RequestQuery(
            path=rng.choice(paths),
            data=rng.randbytes(rng.choice([0, 3, 40])),
            height=rng.choice([0, 0, doors.world.engine.store.height, -1, 10**9]),
            prove=rng.random() < 0.5,
        )
    )
    _require_reason(answer.code, answer.log, answer.codespace)


def grpc_requests(doors: Doors, rng: Random) -> None:
    """Requests of every gRPC method, with likely values in the fields, or with any bytes that can be decoded."""
    method = rng.choice(doors.methods)
    if rng.random() < 0.7:
        request = anything._message(doors.world, rng, method.request, anything.DEPTH)
    else:
        try:
            request = method.request.FromString(rng.randbytes(rng.randrange(12)))
        except DecodeError:
            return
    complaint = doors.loop.run_until_complete(_ask(method, request, rng.choice([None, 0, 10**9])))
    assert not complaint, f"{method.path} {complaint} on {request!r}"


async def _ask(method: Method, request: Message, height: int | None) -> str:
    """What is wrong with a method's answer, or nothing."""
    try:
        answer = await method.answer(request, height)
    except Refusal as refusal:
        return "" if refusal.message and refusal.http_status != INTERNAL_ERROR else "fails"
    return "" if isinstance(answer.response, method.response) else "answers with another type"


def rest_requests(doors: Doors, rng: Random) -> None:
    """REST paths with any segment and query."""
    template = rng.choice(doors.routes)
    path = "/".join(quote(_segment(doors.world, rng), safe="") if "{" in part else part for part in template.split("/"))
    fields = ["pagination.limit", "pagination.key", "pagination.reverse", "denom", "x", "model", "epoch_index"]
    query = "&".join(
        f"{rng.choice(fields)}={quote(_segment(doors.world, rng))}" for _ in range(rng.choice([0, 0, 1, 3]))
    )
    status, body = doors.loop.run_until_complete(_get(doors.rest, path, query))
    assert status != INTERNAL_ERROR, f"{path}?{query} fails"
    assert body


def _segment(world: World, rng: Random) -> str:
    return rng.choice(
        [
            anything._text(world, rng),
            str(rng.choice([0, 1, -1, 2**64, world.height])),
            base64.b64encode(rng.randbytes(6)).decode(),
            "%00\x00é/../",
            "true",
        ]
    )


async def _get(rest: RestApplication, path: str, query: str) -> tuple[int, bytes]:
    sent: list[Mapping[str, object]] = []

    async def receive() -> dict[str, object]:
        return {"type": "http.request", "body": b""}

    async def send(message: Mapping[str, object]) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": "GET",
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "headers": [],
    }
    await rest(scope, receive, send)
    return int(str(sent[0]["status"])), bytes(sent[1]["body"])  # type: ignore[call-overload]  ASGI's mapping is untyped


def _templates(method: Method) -> Iterator[str]:
    rule = method.descriptor.GetOptions().Extensions[annotations_pb2.http]
    for binding in (rule, *rule.additional_bindings):
        if binding.get:
            yield binding.get


def _simulation(raw: bytes) -> bytes:
    return bytes(SimulateRequest(tx_bytes=raw).SerializeToString())


def _require_reason(code: int, log: str, codespace: str) -> None:
    assert not code or (log and codespace), f"code {code} without a codespace or a sentence"


TARGETS: Mapping[str, tuple[Callable[[Doors, Random], None], int]] = {
    "transaction bytes": (transaction_bytes, 3),
    "message fields": (message_fields, 3),
    "frames": (frames, 1),
    "abci queries": (abci_queries, 1),
    "gRPC": (grpc_requests, 2),
    "REST": (rest_requests, 2),
}
"""By name: the function and its share of the cases."""
