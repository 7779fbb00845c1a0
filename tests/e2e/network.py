"""What the tests ask of a running network, over the interfaces that users have."""

from __future__ import annotations

import asyncio
import contextlib
import io
import itertools
import json
import os
import socket
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

import aiohttp

from pivot.primitives.keys import PrivateKey
from pivot.protocol import signing

PATIENCE_SECONDS = 180.0
Found = TypeVar("Found")
_timestamps = itertools.count(1)


@dataclass(frozen=True)
class Network:
    home: Path
    contract: dict[str, Any]

    @property
    def hosts(self) -> list[dict[str, Any]]:
        hosts: list[dict[str, Any]] = self.contract["hosts"]
        return hosts

    @property
    def model(self) -> str:
        return str(self.contract["model"])

    @property
    def api_key(self) -> str:
        return str(self.contract["developer"]["api_key"])

    def processes(self) -> list[dict[str, Any]]:
        listed: list[dict[str, Any]] = json.loads((self.home / "processes.json").read_text())["processes"]
        return listed

    def chat_body(self, text: str = "What is an epoch?", **fields: Any) -> bytes:
        request = {"model": self.model, "messages": [{"role": "user", "content": text}], "max_tokens": 24, **fields}
        return json.dumps(request).encode()

    def signed_headers(self, body: bytes, transfer_address: str, timestamp_ns: int | None = None) -> dict[str, str]:
        """What an unmodified gonka-openai client sends."""
        key = PrivateKey.from_hex(self.contract["developer"]["private_key_hex"])
        stamp = time.time_ns() + next(_timestamps) if timestamp_ns is None else timestamp_ns
        message = signing.developer_sign_bytes(signing.body_hash(body), stamp, transfer_address)
        return {
            "Authorization": key.sign_base64(message),
            "X-Requester-Address": key.address,
            "X-Timestamp": str(stamp),
            "Content-Type": "application/json",
        }

    async def ask(
        self, session: aiohttp.ClientSession, host: int, text: str = "What is an epoch?", **fields: Any
    ) -> Answer:
        """A request with the API key, to one host."""
        headers = {"Authorization": f"Bearer {self.api_key}", "Content-Type": "application/json"}
        return await self.post(session, host, self.chat_body(text, **fields), headers)

    async def post(self, session: aiohttp.ClientSession, host: int, body: bytes, headers: dict[str, str]) -> Answer:
        url = f"{self.hosts[host]['public_url']}/v1/chat/completions"
        async with session.post(url, data=io.BytesIO(body), headers=headers) as answer:
            raw = await answer.read()
            return Answer(answer.status, raw, answer.headers.get("Content-Type", ""))

    async def members(self, session: aiohttp.ClientSession, host: int = 0) -> dict[str, int]:
        """Weights in the current epoch."""
        document = await get(session, f"{self.hosts[host]['public_url']}/v1/epochs/current/participants")
        listed = document["active_participants"]["participants"]
        return {member["index"]: int(member["weight"]) for member in listed}

    async def epoch(self, session: aiohttp.ClientSession) -> int:
        document = await get(session, f"{self.hosts[0]['public_url']}/v1/epochs/current/participants")
        return int(document["active_participants"]["epoch_id"])

    @asynccontextmanager
    async def extra_ml_node(self) -> AsyncIterator[dict[str, Any]]:
        """One more ML node as a process of its own: what its host tells the Admin API."""
        management, inference = free_port(), free_port()
        environment = os.environ | {
            "MLNODE_HOST": "127.0.0.1",
            "MLNODE_MANAGEMENT_PORT": str(management),
            "MLNODE_INFERENCE_PORT": str(inference),
        }
        with (self.home / "logs" / "extra-ml-node.log").open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "pivot.mlnode", env=environment, stdout=log, stderr=log
            )
        try:
            await until(partial(_answers, f"http://127.0.0.1:{management}/health"))
            yield {
                "id": "extra",
                "host": "127.0.0.1",
                "inference_port": inference,
                "poc_port": management,
                "max_concurrent": 8,
                "models": {self.model: {"args": []}},
            }
        finally:
            process.terminate()
            await process.wait()

    async def record(self, session: aiohttp.ClientSession, host: int, inference_id: str) -> dict[str, Any]:
        """The chain's record of an answer, once it is settled."""
        url = f"{self.hosts[host]['public_url']}/v1/chat/completions/{quote(inference_id, safe='')}"

        async def settled() -> dict[str, Any] | None:
            async with session.get(url) as answer:
                if answer.status != 200:
                    return None
                document: dict[str, Any] = await answer.json()
                return document if document["status"] not in {"STARTED", 0} else None

        return await until(settled)


@dataclass(frozen=True)
class Answer:
    status: int
    raw: bytes
    content_type: str

    @property
    def json(self) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(self.raw)
        return document

    @property
    def events(self) -> list[dict[str, Any]]:
        """The JSON of every event of a stream."""
        lines = [line.removeprefix("data: ") for line in self.raw.decode().split("\n") if line.startswith("data: ")]
        assert lines[-1] == "[DONE]"
        return [json.loads(line) for line in lines[:-1]]


def family(pid: int) -> list[int]:
    """A process and all that descend from it."""
    parents = {}
    for entry in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            parents[int(entry.parent.name)] = int(entry.read_text().rpartition(")")[2].split()[1])
    found = [pid]
    for known in found:
        found += [child for child, parent in parents.items() if parent == known]
    return found


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


async def get(session: aiohttp.ClientSession, url: str) -> dict[str, Any]:
    async with session.get(url) as answer:
        assert answer.status == 200, await answer.text()
        document: dict[str, Any] = await answer.json()
        return document


async def _answers(url: str) -> bool:
    try:
        async with aiohttp.ClientSession() as session, session.get(url) as answer:
            return answer.status == 200
    except aiohttp.ClientError:
        return False


async def has_signed(session: aiohttp.ClientSession, rpc_url: str, address: str) -> bool:
    """Whether the last complete commit holds a signature of the validator; the newest one is still being gathered."""
    height = int((await get(session, f"{rpc_url}/status"))["result"]["sync_info"]["latest_block_height"])
    commit = await get(session, f"{rpc_url}/commit?height={height - 1}")
    signatures = commit["result"]["signed_header"]["commit"]["signatures"]
    return any(each["validator_address"] == address and each["signature"] for each in signatures)


async def until(ask: Callable[[], Awaitable[Found | None]], patience: float = PATIENCE_SECONDS) -> Found:
    """The first answer that is not None (or False)."""
    async with asyncio.timeout(patience):
        while True:
            found = await ask()
            if found:
                return found
            await asyncio.sleep(0.2)
