"""Embeddings are checked: an own engine is asked the same, and what it finds is held against what was given."""

import asyncio
import time
from base64 import b64decode, b64encode
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, cast

import aiohttp
import numpy as np
import orjson
import pytest
import zstandard

from benchmarks.calibration import engines
from benchmarks.calibration.questions import ROOT
from benchmarks.calibration.vectors import Row, measured, table
from pivot.api.inference import artifacts
from pivot.api.inference.embeddings import Vectors, engine_body, read
from pivot.api.inference.request import EMBEDDINGS_PATH, parse
from pivot.api.validation.evidence import WrongArtifact
from pivot.api.validation.examiner import Examiner
from pivot.api.validation.vectors import Given, distance, given_in, judge_vectors, limit
from pivot.mlnode.engines.embedded.batch import Batch
from pivot.mlnode.engines.embedded.scheduler import Scheduler
from pivot.mlnode.engines.embedded.served import ServedModel
from pivot.mlnode.engines.embedded.server import engine_app
from pivot.primitives.hashes import sha256
from pivot.protocol.engine_arguments import gives_vectors
from pivot.protocol.generated.inference.inference.tx_pb2 import MsgSubmitValidations
from pivot.protocol.generated.inference.inference.types_pb2 import AnswerVerdict, Inference
from tests.api.fleet.chain import FakePhases
from tests.api.serving import serving
from tests.api.validation.network import EPOCH, MODEL, OVER, SEGMENT, CheckChain, Host, host, untouched
from tests.api.validation.test_service import blocks_until, verdict

TEXTS = ["What is an epoch?", "A host proves compute, and serves."]
VECTOR = np.array([0.6, 0.8], "<f4")
Shaped = Callable[[dict[str, Any]], None]


@pytest.fixture
async def pooling_url(tiny_model: ServedModel) -> AsyncIterator[str]:
    """The embedded engine with the tiny chat model, as a node serves it for embeddings."""
    scheduler = Scheduler(Batch(tiny_model.decoder, 4), 64)
    stepping = asyncio.create_task(scheduler.run())
    async with serving(engine_app(tiny_model, scheduler, vectors=True)) as url:
        yield url
    stepping.cancel()
    await asyncio.gather(stepping, return_exceptions=True)


@pytest.fixture
async def pools(chain: CheckChain, phases: FakePhases, tmp_path: Path, pooling_url: str) -> AsyncIterator[list[Host]]:
    """An executor and a checker of a model that is registered for embeddings."""
    async with AsyncExitStack() as stack:
        found = []
        for number in (1, 2):
            (tmp_path / str(number)).mkdir()
            found.append(
                await stack.enter_async_context(host(chain, phases, tmp_path / str(number), pooling_url, number))
            )
        chain.form({each.address: 10 for each in found})
        chain.groups[EPOCH, MODEL].model_snapshot.model_args.extend(["--runner", "pooling"])
        yield found


async def embedded(executor: Host, chain: CheckChain, url: str, shaped: Shaped = untouched, **fields: Any) -> Inference:
    """An answer with vectors, as the request path makes it, and its record. shaped: what a cheat does before it signs."""
    request = parse(orjson.dumps({"model": MODEL, "input": TEXTS, **fields}), EMBEDDINGS_PATH)
    answer = Vectors(request, f"vectors/{len(chain.records)}+{time.time_ns()}=")
    headers = {"Content-Type": "application/json"}
    async with (
        aiohttp.ClientSession() as http,
        http.post(url + EMBEDDINGS_PATH, data=engine_body(request), headers=headers) as reply,
    ):
        answer.whole(await reply.read())
    document = orjson.loads(answer.document())
    shaped(document)
    raw = orjson.dumps(document, option=orjson.OPT_SORT_KEYS)
    record = recorded(raw, request.body_hash)
    record.executed_by = executor.address
    chain.records[record.inference_id] = record
    compressed = zstandard.ZstdCompressor().compress(raw)
    await artifacts.keep_anothers(executor.database, record.inference_id, EPOCH, record.artifact_hash, compressed)
    return record


def recorded(raw: bytes, body_hash: str) -> Inference:
    """What the chain has of an answer that was signed with this artifact."""
    document = orjson.loads(raw)
    return Inference(
        index=document["inference_id"],
        inference_id=document["inference_id"],
        prompt_hash=body_hash,
        response_hash=sha256(b"".join(map(b64decode, document["vectors"]))).hex(),
        artifact_hash=sha256(raw).hex(),
        prompt_token_count=document["prompt_token_count"],
        completion_token_count=document["completion_token_count"],
        model=MODEL,
        max_tokens=1,
        epoch_id=EPOCH,
        finished_epoch_id=EPOCH,
        segment=SEGMENT,
    )


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"input": "What is an epoch?"},
        {"input": [5, 6, 7]},
        {"input": [[5, 6], [7]], "encoding_format": "base64"},
        {"use_activation": False, "user": "ada"},
    ],
)
async def test_honest_vectors_pass(
    chain: CheckChain, phases: FakePhases, pools: list[Host], pooling_url: str, fields: dict[str, Any]
) -> None:
    record = await embedded(pools[0], chain, pooling_url, **fields)
    assert await verdict(phases, pools[1], record) == AnswerVerdict.ANSWER_PASSED
    [message] = pools[1].sent(MsgSubmitValidations)
    assert message.reports[0].value_e6 > 999_900


def cut(document: dict[str, Any]) -> None:
    """Vectors of half as many dimensions, as of a smaller model."""
    document["vectors"] = [
        b64encode(b64decode(each)[: len(b64decode(each)) // 2]).decode() for each in document["vectors"]
    ]


def swapped(document: dict[str, Any]) -> None:
    document["vectors"].reverse()


def guessed(document: dict[str, Any]) -> None:
    """No work at all: any vector of the right form."""
    source = np.random.default_rng(1)
    document["vectors"] = [
        b64encode(source.standard_normal(256).astype("<f4").tobytes()).decode() for _ in document["vectors"]
    ]


def not_numbers(document: dict[str, Any]) -> None:
    document["vectors"][1] = b64encode(np.full(256, np.nan, "<f4").tobytes()).decode()


def zeros(document: dict[str, Any]) -> None:
    document["vectors"][1] = b64encode(np.zeros(256, "<f4").tobytes()).decode()


def longer(document: dict[str, Any]) -> None:
    """The right direction at another length."""
    document["vectors"] = [b64encode((1.1 * read(each)).tobytes()).decode() for each in document["vectors"]]


def fewer(document: dict[str, Any]) -> None:
    del document["vectors"][1]


def dearer(document: dict[str, Any]) -> None:
    document["prompt_token_count"] += 1


def worded(document: dict[str, Any]) -> None:
    """Tokens of an answer, where there is none."""
    document["completion_token_count"] = 1


def of_a_chat(document: dict[str, Any]) -> None:
    """An artifact as of a text, which would have other checks, and tells what suits the executor."""
    document.pop("vectors")
    document |= {"vectors": [], "content": "", "token_ids": [], "logprobs": [], "prompt_token_ids": [1]}


@pytest.mark.parametrize(
    "shaped", [cut, swapped, guessed, not_numbers, zeros, longer, fewer, dearer, worded, of_a_chat]
)
async def test_other_vectors_fail(
    chain: CheckChain, phases: FakePhases, pools: list[Host], pooling_url: str, shaped: Shaped
) -> None:
    record = await embedded(pools[0], chain, pooling_url, shaped)
    assert await verdict(phases, pools[1], record) == AnswerVerdict.ANSWER_FAILED


async def test_a_request_that_the_model_cannot_have_answered_fails(
    chain: CheckChain, phases: FakePhases, pools: list[Host], pooling_url: str
) -> None:
    record = await embedded(pools[0], chain, pooling_url)
    body = orjson.dumps({"model": MODEL, "input": [[10**6], [1]]})
    compressed = await artifacts.compressed_of(pools[0].database, record.inference_id)
    assert compressed
    document = orjson.loads(zstandard.ZstdDecompressor().decompress(compressed)) | {"request": body.decode()}
    raw = orjson.dumps(document, option=orjson.OPT_SORT_KEYS)
    other = recorded(raw, parse(body, EMBEDDINGS_PATH).body_hash)
    other.executed_by, other.inference_id = pools[0].address, record.inference_id
    chain.records[record.inference_id] = other
    await artifacts.forget_before(pools[0].database, EPOCH + 1)
    packed = zstandard.ZstdCompressor().compress(raw)
    await artifacts.keep_anothers(pools[0].database, record.inference_id, EPOCH, other.artifact_hash, packed)
    assert await verdict(phases, pools[1], other) == AnswerVerdict.ANSWER_FAILED


async def test_an_own_engine_that_gives_no_vectors_accuses_nobody(
    chain: CheckChain, phases: FakePhases, pools: list[Host], pooling_url: str, engine_url: str
) -> None:
    await embedded(pools[0], chain, pooling_url)
    pools[1].lender.url = engine_url
    await blocks_until(phases, lambda: pools[1].lender.asked)
    assert not pools[1].sent(MsgSubmitValidations)
    pools[1].lender.url = pooling_url
    await blocks_until(phases, lambda: pools[1].sent(MsgSubmitValidations), begin=OVER + 60)
    [message] = pools[1].sent(MsgSubmitValidations)
    assert message.reports[0].verdict == AnswerVerdict.ANSWER_PASSED


async def test_an_answer_finished_in_an_epoch_that_serves_its_model_no_more_is_of_the_kind_that_was_asked_for(
    chain: CheckChain,
) -> None:
    chain.form({"host": 10})
    chain.groups[EPOCH, MODEL].model_snapshot.model_args.extend(["--runner", "pooling"])
    nobody = cast(Any, None)
    examiner = Examiner(nobody, chain, nobody, nobody, nobody)
    record = Inference(model=MODEL, epoch_id=EPOCH, finished_epoch_id=EPOCH + 1)
    assert gives_vectors((await examiner._registered(record)).model_args)
    record.epoch_id = EPOCH + 1
    assert (await examiner._registered(record)).id == MODEL


def given(*vectors: np.ndarray) -> Given:
    return Given({}, list(vectors), 4)


def test_the_registration_may_ask_for_more() -> None:
    other = np.array([0.6, 0.801], "<f4")
    assert judge_vectors(given(VECTOR), [other], 4, {"--dtype": "bfloat16"}).passed
    found = judge_vectors(given(VECTOR), [other], 4, {"--dtype": "bfloat16"}, least_similarity=0.9999999)
    assert "wants 1.0000" in found.reason
    assert not judge_vectors(given(VECTOR), [other], 4, {}, least_similarity=0.9999999).passed


def test_the_limit_follows_the_type_of_the_models_numbers() -> None:
    assert limit({}) == limit({"--dtype": "half"}) == limit({"--dtype": "float32"}) < 3e-5
    assert limit({"--dtype": "bfloat16"}) == limit({"--dtype": "auto"}) == limit({"--quantization": "fp8"}) < 2e-3


def test_a_distance_has_direction_and_length() -> None:
    assert distance(VECTOR, VECTOR) == 0
    assert distance(VECTOR, -VECTOR) == pytest.approx(2)
    assert distance(VECTOR, np.array([-0.8, 0.6], "<f4")) == pytest.approx(1)
    assert distance(VECTOR, 2 * VECTOR) == pytest.approx(0.25)


def test_what_is_no_artifact_of_vectors_is_wrong() -> None:
    record = Inference(inference_id="a", model=MODEL)
    for raw in (b"{}", b"[]", b"?", orjson.dumps({"version": 1, "request": "x"})):
        with pytest.raises(WrongArtifact):
            given_in(raw, record)
    for request in ("{", '{"model":"m","messages":[]}', "[" * 2_000):
        document = {
            "version": 1,
            "inference_id": "a",
            "request": request,
            "model": MODEL,
            "vectors": [b64encode(VECTOR.tobytes()).decode()],
            "prompt_token_count": 1,
            "completion_token_count": 0,
        }
        with pytest.raises(WrongArtifact, match="it shows no embeddings"):
            given_in(orjson.dumps(document), record)


@pytest.fixture(scope="module")
def rows() -> list[Row]:
    return measured(engines.load(ROOT / "models" / "tiny-chat"), 12)


def test_honest_machines_lie_far_below_the_limit(rows: list[Row]) -> None:
    for row in rows:
        if row.name.startswith("honest"):
            assert row.distances.max() < limit({"--dtype": row.dtype}) / 10, row.name


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("fraud", ["a smaller model", "random weights", "4-bit weights", "half the input"])
def test_cheaper_vectors_fail_in_either_type(rows: list[Row], fraud: str, dtype: str) -> None:
    [row] = [row for row in rows if (row.name, row.dtype) == (fraud, dtype)]
    assert row.failed == 1


def test_eight_bits_fail_where_sixteen_were_registered(rows: list[Row]) -> None:
    for name in ("8-bit weights", "8-bit weights and activations"):
        [row] = [row for row in rows if (row.name, row.dtype) == (name, "float16")]
        assert row.failed == 1


def test_the_table_has_a_line_for_each_way(rows: list[Row]) -> None:
    lines = table(rows).splitlines()
    assert len(lines) == 2 + len(rows)
    assert lines[2].endswith("0.00 |  |")
