"""Who gets an artifact, and what a checker takes for one."""

import time
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiohttp
import pytest
import zstandard

from pivot.api.between_hosts.client import NotAnswered
from pivot.api.between_hosts.signatures import signed_headers
from pivot.api.inference.artifacts import keep_anothers
from pivot.api.validation.artifacts_api import expanded
from pivot.api.validation.artifacts_client import ArtifactsClient
from pivot.api.validation.artifacts_service import MAX_AT_ONCE
from pivot.primitives.hashes import sha256
from pivot.primitives.keys import PrivateKey
from pivot.protocol.generated.inference.inference.types_pb2 import DisputeOutcome, Inference, Participant
from pivot.protocol.signing import artifact_sign_bytes
from tests.api.databases import ON_BOTH, DatabaseAt
from tests.api.fleet.chain import CHAIN_ID, FakePhases, key
from tests.api.validation.network import EPOCH, MODEL, OVER, SEGMENT, CheckChain, Host, host

pytestmark = ON_BOTH
DOCUMENT = b'{"version": 1}'
CHECKER, STRANGER = key(7), key(8)
ID = "an/id+of=an answer"


@pytest.fixture
async def executor(
    chain: CheckChain, phases: FakePhases, tmp_path: Path, database_at: DatabaseAt
) -> AsyncIterator[Host]:
    """A host that has answered once, with CHECKER as the only other member."""
    async with host(chain, phases, tmp_path, "http://127.0.0.1:1", 1, database_at, started=False) as found:
        chain.form({found.address: 10, CHECKER.address: 10})
        chain.keys |= {each.address: [each.public_key] for each in (CHECKER, STRANGER)}
        compressed = zstandard.ZstdCompressor().compress(DOCUMENT)
        await keep_anothers(found.database, ID, EPOCH, sha256(DOCUMENT).hex(), compressed)
        chain.records[ID] = Inference(
            inference_id=ID,
            executed_by=found.address,
            model=MODEL,
            finished_epoch_id=EPOCH,
            segment=SEGMENT,
            artifact_hash=sha256(DOCUMENT).hex(),
        )
        await phases.at(OVER)
        yield found


async def ask(
    chain: CheckChain, executor: Host, by: PrivateKey = CHECKER, inference_id: str = ID, **changes: str
) -> tuple[int, bytes]:
    url = chain.participants[executor.address].inference_url + "/v1/artifacts/" + quote(inference_id, safe="")
    words = partial(artifact_sign_bytes, CHAIN_ID, executor.address, inference_id)
    headers = signed_headers(by, words, time.time_ns()) | changes
    async with aiohttp.ClientSession() as session, session.get(url, headers=headers) as answer:
        return answer.status, await answer.read()


async def test_a_drawn_checker_gets_the_document(chain: CheckChain, executor: Host) -> None:
    status, raw = await ask(chain, executor)
    assert (status, expanded(raw, 1_000)) == (200, DOCUMENT)
    asked = len(chain.asked)
    assert (await ask(chain, executor))[0] == 200
    assert chain.asked[asked:] == ["public_keys"]  # the draw does not change


async def test_who_is_not_drawn_and_has_no_vote_gets_nothing(chain: CheckChain, executor: Host) -> None:
    assert (await ask(chain, executor, STRANGER))[0] == 403
    chain.form({executor.address: 10, CHECKER.address: 10, STRANGER.address: 0})
    assert (await ask(chain, executor, STRANGER))[0] == 403


async def test_before_its_element_is_revealed_nobody_is_drawn(chain: CheckChain, executor: Host) -> None:
    chain.elements = SEGMENT
    assert (await ask(chain, executor))[0] == 403
    chain.elements = 0
    assert (await ask(chain, executor))[0] == 403
    chain.elements = 24
    assert (await ask(chain, executor))[0] == 200


async def test_a_voter_gets_it_while_the_dispute_is_open(chain: CheckChain, executor: Host) -> None:
    chain.elements = 0
    chain.dispute(chain.records[ID], STRANGER.address, OVER + 10)
    assert (await ask(chain, executor))[0] == 200
    assert (await ask(chain, executor, STRANGER))[0] == 403  # the accuser has seen it
    chain.disputes[ID].outcome = DisputeOutcome.DISPUTE_VALID
    assert (await ask(chain, executor))[0] == 403


async def test_whoever_is_not_known_gets_nothing(chain: CheckChain, executor: Host) -> None:
    for changes in ({"X-Requester-Address": STRANGER.address}, {"X-Timestamp": str(time.time_ns())}):
        assert (await ask(chain, executor, **changes))[0] == 401


async def test_unknown_answers_are_not_found(chain: CheckChain, executor: Host) -> None:
    assert (await ask(chain, executor, inference_id="another"))[0] == 404
    assert (await ask(chain, executor, inference_id="x" * 200))[0] == 400
    chain.records["another"] = Inference()
    chain.records["another"].CopyFrom(chain.records[ID])
    chain.records["another"].inference_id = "another"
    assert (await ask(chain, executor, inference_id="another"))[0] == 404  # forgotten


async def test_a_host_that_has_seen_no_block_says_so(chain: CheckChain, executor: Host, phases: FakePhases) -> None:
    phases.moment = None
    assert (await ask(chain, executor))[0] == 503


async def test_only_so_many_are_sent_at_a_time(chain: CheckChain, executor: Host) -> None:
    places = executor.checking.artifacts._places
    for _ in range(MAX_AT_ONCE):
        await places.acquire()
    assert (await ask(chain, executor))[0] == 503


@pytest.fixture
async def client(chain: CheckChain) -> AsyncIterator[ArtifactsClient]:
    client = ArtifactsClient(
        type("Checker", (), {"account": CHECKER})(),
        chain,
        allow_private=True,
    )
    yield client
    await client.close()


async def test_a_checker_takes_what_was_signed(chain: CheckChain, executor: Host, client: ArtifactsClient) -> None:
    compressed, raw = await client.artifact(executor.address, chain.records[ID])
    assert (raw, expanded(compressed, 100)) == (DOCUMENT, DOCUMENT)


@pytest.mark.parametrize("fault", ["hash", "unknown host", "no url", "refused", "gone", "garbage"])
async def test_a_checker_takes_nothing_else(
    chain: CheckChain, executor: Host, client: ArtifactsClient, fault: str
) -> None:
    record = chain.records[ID]
    participant = chain.participants[executor.address]
    match fault:
        case "hash":
            record.artifact_hash = "0" * 64
        case "unknown host":
            del chain.participants[executor.address]
        case "no url":
            chain.participants[executor.address] = Participant(inference_url="ftp://there")
        case "refused":
            chain.elements = 0
        case "gone":
            chain.participants[executor.address] = Participant(inference_url="http://127.0.0.1:1")
        case "garbage":
            await keep_anothers(executor.database, "other", EPOCH, "", b"no zstd")
            record.inference_id = "other"
            chain.records["other"] = record
    with pytest.raises(NotAnswered):
        await client.artifact(executor.address, record)
    assert participant


def test_a_bomb_is_not_expanded() -> None:
    bomb: Any = zstandard.ZstdCompressor().compress(bytes(50_000_000))
    assert len(bomb) < 10_000
    with pytest.raises(ValueError, match="more than 1000 bytes"):
        expanded(bomb, 1_000)
    with pytest.raises(ValueError, match=r"."):
        expanded(b"no zstd", 1_000)
