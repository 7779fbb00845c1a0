"""Hosts that live on one chain, with real HTTP between them; any of them may end at any moment, and come back."""

from collections import deque
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import aiohttp
import zstandard
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from pivot.api.database import connect, database_url
from pivot.api.inference.artifacts import keep_anothers
from pivot.api.poc.leaves_api import LEAVES_PATH
from pivot.api.validation.artifacts_api import ARTIFACT_PATH
from pivot.chain.modules.epochs.state import effective_index
from pivot.chain.modules.rewards.state import summary
from pivot.primitives.hashes import sha256
from tests.api.duties.host import Life, Machine
from tests.api.duties.network import FIRST_EPOCH, NAMES, Network
from tests.api.serving import public_port, serving
from tests.chain.chain import key

BLOCKS_PER_QUESTION = 2


class End(NamedTuple):
    """The end of a host after a block, or after so many writes that block takes no part in it."""

    name: str
    height: int = 0
    away: int = 0
    """Blocks that pass without it."""
    gently: bool = False
    """Whether it is told to end, and hands over what it has; otherwise it is killed."""
    writes: int | None = None
    """Instead of a height: so many things it writes to its disk or hands to the mempool, and dies at the next one."""


@dataclass
class Town:
    """The hosts that are there now, and what is left of the others."""

    network: Network
    home: Path
    http: aiohttp.ClientSession
    lives: dict[str, Life] = field(default_factory=dict)
    """Of hosts that are there."""
    machines: dict[str, Machine] = field(default_factory=lambda: {name: Machine() for name in NAMES})
    returns: dict[str, int] = field(default_factory=dict)
    """Heights after which hosts come back."""
    questions: int = 0

    @property
    def height(self) -> int:
        return self.network.chain.height

    async def live(self, ends: Iterable[End], until: int) -> None:
        """Make blocks until the first epoch is claimed by all, or until a height."""
        planned = deque(sorted((end for end in ends if end.writes is None), key=lambda end: end.height))
        for name, _, _, _, writes in ends:
            if writes is not None:
                self.lives[name].dies_after = writes
        while self.height < until and not self._all_have_claimed():
            while planned and planned[0].height <= self.height:
                await self._end(planned.popleft())
            for name in [name for name, height in self.returns.items() if height <= self.height]:
                del self.returns[name]
                await self.begin(name)
                await self.lives[name].quiet(self._is_there)
            await self._block()

    async def begin(self, name: str) -> None:
        """Let a host go on with what its disk has."""
        home = self.home / name
        home.mkdir(exist_ok=True)
        life = self.lives[name] = Life(name, home, self.network, self.machines[name], self.http)
        await life.start()
        life.heads.tell(self.network.head)

    async def _end(self, end: End) -> None:
        life = self.lives.pop(end.name)
        await (life.close() if end.gently else life.kill())
        self.returns[end.name] = self.height + end.away

    async def _block(self) -> None:
        """One block, and all that hosts do about it."""
        self.network.make_block()
        if effective_index(self.network.chain.state) == FIRST_EPOCH and self.height % BLOCKS_PER_QUESTION:
            await self._ask()
        for life in self.lives.values():
            life.heads.tell(self.network.head)
        for life in self.lives.values():
            await life.quiet(self._is_there)
        for name in [name for name, life in self.lives.items() if life.dead]:
            await self._end(End(name))
        for name, machine in self.machines.items():
            machine.work(self.lives.get(name))

    async def _ask(self) -> None:
        """A request, which the host that is drawn for it answers in the next block."""
        self.questions += 1
        document = b"answer %d" % self.questions
        digest = sha256(document).hex()
        executor, inference_id = self.network.answer(b'{"n": %d}' % self.questions, digest)
        disk = connect(database_url("", self.home / executor))
        compressed = zstandard.ZstdCompressor().compress(document)
        await keep_anothers(disk, inference_id, FIRST_EPOCH, digest, compressed)
        await disk.close()

    def _is_there(self, address: str) -> bool:
        return any(life.address == address for life in self.lives.values())

    def _all_have_claimed(self) -> bool:
        found = [summary(self.network.chain.state, FIRST_EPOCH, key(name).address) for name in NAMES]
        return all(each is not None and each.claimed for each in found)

    async def leaves(self, request: Request) -> Response:
        life = self.lives.get(request.path_params["name"])
        return Response("gone", 503) if life is None else await life.leaves.endpoint(request)

    async def artifacts(self, request: Request) -> Response:
        life = self.lives.get(request.path_params["name"])
        return Response("gone", 503) if life is None else await life.answers.artifacts.endpoint(request)


@asynccontextmanager
async def town(home: Path) -> AsyncIterator[Town]:
    """All hosts there, before the first sprint."""
    towns: list[Town] = []

    async def leaves(request: Request) -> Response:
        return await towns[0].leaves(request)

    async def artifacts(request: Request) -> Response:
        return await towns[0].artifacts(request)

    routes = [Route("/{name}" + LEAVES_PATH, leaves), Route("/{name}" + ARTIFACT_PATH, artifacts)]
    async with serving(public_port(*routes)) as url, aiohttp.ClientSession() as http:
        found = Town(Network(url, home / "chain"), home, http)
        towns.append(found)
        for name in NAMES:
            await found.begin(name)
        yield found
        for life in found.lives.values():
            await life.kill()
