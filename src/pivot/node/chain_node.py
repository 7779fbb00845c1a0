"""A chain node's RPC, as far as a node that joins it asks: who it is, the genesis document, the hash of a header.

Everything is asked by GET, so that it also works behind a path of a proxy (`https://host/chain-rpc`).
"""

import base64
import json
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any

import aiohttp
from google.protobuf.timestamp_pb2 import Timestamp

from pivot.node.errors import SeedRefused, SeedUnreachable

TIMEOUT = aiohttp.ClientTimeout(total=60, connect=5)
MAX_ANSWER_BYTES = 64 * 2**20
MAX_GENESIS_CHUNKS = 64
NANOSECONDS = 10**9
_NODE_ID = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True)
class Identity:
    """What a chain node says of itself."""

    chain_id: str
    node_id: str
    moniker: str
    height: int
    app_hash: str
    catching_up: bool
    consensus_key: str
    """base64, 32 bytes."""
    voting_power: int
    block_age_s: float
    """How long ago its latest block was, by this machine's clock; negative: the block is of the future."""
    clock_ahead_s: float
    """How far this machine's clock is ahead of that node's at least (negative: behind); 0 where it does not tell."""


class ChainNode:
    """One chain node. Its errors begin with `name`, the setting that says where it is.

    Raises SeedUnreachable when nobody answers, or no chain node does, and SeedRefused with the node's own sentence.
    """

    def __init__(self, http: aiohttp.ClientSession, url: str, name: str, now: Callable[[], float] = time.time) -> None:
        self._http = http
        self._now = now
        self._clock_ahead_s = 0.0
        self.url = url.rstrip("/")
        self.name = name

    async def identity(self) -> Identity:
        result = await self._get("status")
        try:
            node, sync, validator = result["node_info"], result["sync_info"], result["validator_info"]
            identity = Identity(
                chain_id=node["network"],
                node_id=node["id"].lower(),
                moniker=node["moniker"],
                height=int(sync["latest_block_height"]),
                app_hash=sync["latest_app_hash"],
                catching_up=sync["catching_up"],
                consensus_key=validator["pub_key"]["value"],
                voting_power=int(validator["voting_power"]),
                block_age_s=self._now() - _seconds(sync["latest_block_time"]),
                clock_ahead_s=self._clock_ahead_s,
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise self._no_chain_node() from error
        if not _NODE_ID.fullmatch(identity.node_id):
            raise self._no_chain_node()
        return identity

    async def peers(self) -> int:
        """With how many others it is connected."""
        result = await self._get("net_info")
        try:
            return int(result["n_peers"])
        except (KeyError, TypeError, ValueError) as error:
            raise self._no_chain_node() from error

    async def genesis(self) -> dict[str, Any]:
        """The genesis document; in chunks where it is too large for one answer."""
        try:
            document = (await self._get("genesis"))["genesis"]
        except SeedRefused:
            document = await self._genesis_in_chunks()
        except (KeyError, TypeError) as error:
            raise self._no_chain_node() from error
        if not isinstance(document, dict):
            raise self._no_chain_node()
        return document

    async def header_hash(self, height: int) -> str:
        """The hash (hex) of the header at a height."""
        result = await self._get("commit", height=str(height))
        try:
            return str(result["signed_header"]["commit"]["block_id"]["hash"])
        except (KeyError, TypeError) as error:
            raise self._no_chain_node() from error

    async def _genesis_in_chunks(self) -> Any:
        text, total = b"", 1
        number = 0
        while number < total:
            chunk = await self._get("genesis_chunked", chunk=str(number))
            try:
                text += base64.b64decode(chunk["data"], validate=True)
                total = int(chunk["total"])
            except (KeyError, TypeError, ValueError) as error:
                raise self._no_chain_node() from error
            if total > MAX_GENESIS_CHUNKS:
                raise SeedRefused(
                    f"{self.name}: the genesis of {self.url} has {total} chunks, {MAX_GENESIS_CHUNKS} at most"
                )
            number += 1
        try:
            return json.loads(text)
        except ValueError as error:
            raise self._no_chain_node() from error

    async def _get(self, method: str, **parameters: str) -> Any:
        asked = self._now()
        try:
            async with self._http.get(f"{self.url}/{method}", params=parameters, timeout=TIMEOUT) as answer:
                self._clock_ahead_s = _clock_ahead_s(answer.headers.get("Date", ""), asked, self._now())
                document = json.loads(await self._read(answer))
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            told = str(error) or type(error).__name__
            raise SeedUnreachable(f"{self.name}: {self.url} does not answer: {told}") from error
        except ValueError as error:
            raise self._no_chain_node() from error
        if not isinstance(document, dict) or not {"result", "error"} & set(document):
            raise self._no_chain_node()
        if refusal := document.get("error"):
            sentence = refusal.get("data") or refusal.get("message") if isinstance(refusal, dict) else refusal
            raise SeedRefused(f"{self.name}: {self.url} refuses {method}: {sentence}")
        return document["result"]

    async def _read(self, answer: aiohttp.ClientResponse) -> bytes:
        body = bytearray()
        async for part in answer.content.iter_chunked(2**16):
            body += part
            if len(body) > MAX_ANSWER_BYTES:
                raise SeedRefused(f"{self.name}: an answer of {self.url} is longer than {MAX_ANSWER_BYTES} bytes")
        return bytes(body)

    def _no_chain_node(self) -> SeedUnreachable:
        return SeedUnreachable(f"{self.name}: what answers at {self.url} is no chain node")


def _seconds(time: str) -> float:
    """Unix seconds of a time in RFC 3339. Raises ValueError."""
    stamp = Timestamp()
    stamp.FromJsonString(time)
    return float(stamp.ToNanoseconds()) / NANOSECONDS


def _clock_ahead_s(told: str, asked: float, answered: float) -> float:
    """By how much a clock that showed `asked` and `answered` around an answer is ahead of one that wrote `told` (RFC 9110)."""
    try:
        second = parsedate_to_datetime(told).timestamp()
    except ValueError:
        return 0.0
    if second > answered:
        return answered - second
    return max(0.0, asked - (second + 1))
