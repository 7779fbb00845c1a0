"""Several choices in one answer (`n` above 1): as many inferences, each drawn, priced, settled and checked by itself.

Only the gateway account can pay for them, because each needs a signature of its own. The developer sees one answer, under the
id of one of them.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import orjson
import structlog

from pivot.api.http.errors import Unavailable
from pivot.api.inference import sse
from pivot.api.inference.parts import JSON, Bound, Chosen, Head, Part, Parts
from pivot.api.inference.request import LARGEST_SEED, Request, parse

PARTS_AHEAD = 64
"""Parts of answers that may wait until the developer has taken those before them."""

MAX_CHOICE_BYTES = 16 * 2**20
"""Of an answer that is held here until the others are whole."""

log = structlog.get_logger(__name__)

_Numbered = AsyncGenerator[tuple[int, Part], None]
"""Parts of several answers as they come, each with the number of its choice."""


def split(request: Request) -> list[Request]:
    """One request for each choice; a seed counts up, or all choices would be the same."""
    document = {**request.document, "n": 1}
    seed = document.get("seed")
    bodies = []
    for number in range(request.choices):
        if seed is not None:
            document["seed"] = seed + number if seed + number <= LARGEST_SEED else seed - number
        bodies.append(orjson.dumps(document))
    return [parse(body, request.path) for body in bodies]


async def merged(answers: Sequence[Parts], request: Request) -> Parts:
    """One answer from those to the requests of `split`. Raises what they raise, Unavailable for one that cannot be read."""
    try:
        async with _together(answers) as numbered:
            choices = _streams(numbered, request, len(answers)) if request.stream else _wholes(numbered, len(answers))
            async with aclosing(choices):
                async for part in choices:
                    yield part
    except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
        log.warning("choice_unreadable", reason=repr(error))
        raise Unavailable("the answer of a host cannot be read") from error


async def _wholes(numbered: _Numbered, count: int) -> Parts:
    chosen: dict[int, Chosen] = {}
    bodies = [b""] * count
    async for number, part in numbered:
        if isinstance(part, Bound):
            yield part
        elif isinstance(part, Chosen):
            chosen[number] = part
        elif isinstance(part, Head) and part.status != HTTPStatus.OK:
            async for refusal in _alone(numbered, number, part):
                yield refusal
            return
        elif isinstance(part, bytes):
            bodies[number] += part
            if len(bodies[number]) > MAX_CHOICE_BYTES:
                raise ValueError(f"a choice of more than {MAX_CHOICE_BYTES} bytes")
    documents = [orjson.loads(body) for body in bodies]
    answer = documents[0]
    answer["choices"] = [{**document["choices"][0], "index": number} for number, document in enumerate(documents)]
    answer["usage"] = _sum([document["usage"] for document in documents])
    body = orjson.dumps(answer)
    yield chosen[0]
    yield Head(HTTPStatus.OK, JSON, len(body))
    yield body


async def _streams(numbered: _Numbered, request: Request, count: int) -> Parts:
    chosen: dict[int, Chosen] = {}
    events = [sse.Events() for _ in range(count)]
    last_of_all: list[dict[str, Any]] = []
    so_far: dict[int, dict[str, Any]] = {}
    answer_id = ""
    async for number, part in numbered:
        if isinstance(part, Chosen):
            chosen[number] = part
        elif isinstance(part, Head) and part.status != HTTPStatus.OK:
            if answer_id:
                raise ConnectionError(f"choice {number} was refused with {part.status}")
            async for refusal in _alone(numbered, number, part):
                yield refusal
            return
        elif isinstance(part, Head) and not answer_id:
            answer_id = chosen[number].inference_id
            yield chosen[number]
            yield part
        elif isinstance(part, bytes):
            for data in events[number].feed(part):
                if data == sse.DONE:
                    continue
                document = orjson.loads(data)
                if "error" in document:
                    yield sse.event(data)
                    return
                document["id"] = answer_id
                if not document["choices"]:
                    last_of_all.append(document)
                    continue
                for choice in document["choices"]:
                    choice["index"] = number
                if document.get("usage"):
                    so_far[number] = document["usage"]
                    document["usage"] = _sum(list(so_far.values()))
                yield sse.event(orjson.dumps(document))
    if request.wants_usage and last_of_all:
        usage = _sum([document["usage"] for document in last_of_all])
        yield sse.event(orjson.dumps({**last_of_all[-1], "usage": usage}))
    yield sse.event(sse.DONE)


async def _alone(numbered: _Numbered, number: int, head: Head) -> Parts:
    """A refusal of one choice is the whole answer: it speaks of what all have in common."""
    yield head
    left = head.length or 0
    async for each, part in numbered:
        if each == number and isinstance(part, bytes):
            yield part
            left -= len(part)
        if left <= 0:
            return


def _sum(usages: list[dict[str, Any]]) -> dict[str, Any]:
    """What all choices used: each has read the prompt."""
    names = ("prompt_tokens", "completion_tokens", "total_tokens")
    return {**usages[0], **{name: sum(usage[name] for usage in usages) for name in names}}


@dataclass(frozen=True)
class _Ended:
    error: Exception | None


@asynccontextmanager
async def _together(answers: Sequence[Parts]) -> AsyncIterator[_Numbered]:
    """The parts of all answers, which are carried out at the same time.

    Leaving the context ends those under way, but waits for those that are bound to be finished: nobody has them computed for
    nothing by a choice that fails. A task that is cancelled waits for none.
    """
    parts: asyncio.Queue[tuple[int, Part | _Ended]] = asyncio.Queue(PARTS_AHEAD)
    bound: set[int] = set()
    over = False

    async def carry_out(number: int, answer: Parts) -> None:
        error: Exception | None = None
        try:
            async with aclosing(answer):
                async for part in answer:
                    if isinstance(part, Bound):
                        bound.add(number)
                    await put(number, part)
        except Exception as fault:  # noqa: BLE001  whoever reads the parts gets it
            error = fault
        await put(number, _Ended(error))

    async def put(number: int, part: Part | _Ended) -> None:
        if not over:
            await parts.put((number, part))

    async def numbered() -> _Numbered:
        left = len(answers)
        while left:
            number, part = await parts.get()
            if isinstance(part, _Ended):
                if part.error is not None:
                    raise part.error
                left -= 1
            else:
                yield number, part

    tasks = [asyncio.ensure_future(carry_out(number, answer)) for number, answer in enumerate(answers)]
    try:
        async with aclosing(numbered()) as all_parts:
            yield all_parts
    except asyncio.CancelledError:
        bound.clear()
        raise
    finally:
        over = True
        while not parts.empty():  # so that nobody waits for room in it
            parts.get_nowait()
        for number, task in enumerate(tasks):
            if number not in bound:
                task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
