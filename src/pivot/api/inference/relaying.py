"""From an engine's reply to what the developer gets: event by event, or whole, noted on the way."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from http import HTTPStatus

import orjson

from pivot.api.inference import engine, sse
from pivot.api.inference.assembly import Assembly
from pivot.api.inference.embeddings import Vectors
from pivot.api.inference.parts import EVENT_STREAM, JSON, Head
from pivot.api.inference.transcript import Transcript

LONG_ANSWER_BYTES = 2**20
"""From here on a whole answer is read in a thread, so that other requests do not wait for it."""

UNREADABLE = (ValueError, KeyError, TypeError, AttributeError, OverflowError)
"""What reading raises of what no engine says."""


async def relayed(reply: engine.EngineAnswer, transcript: Transcript | Vectors) -> AsyncGenerator[Head | bytes, None]:
    """Head and bytes for the developer. Raises NodeLost, or EngineFailed for what cannot be read.

    A stream whose developer wants the answer in one piece is put together: nothing is given before its end.
    """
    try:
        if reply.status != HTTPStatus.OK:
            refusal = engine.client_error(reply.first)
            yield Head(reply.status, JSON, len(refusal))
            yield refusal
        elif reply.is_stream and isinstance(transcript, Transcript) and transcript.request.stream:
            yield Head(reply.status, EVENT_STREAM)
            async with aclosing(_events(reply)) as pieces:
                async for piece in pieces:
                    told = [for_developer for data in piece if (for_developer := _for_developer(data, transcript))]
                    if told:
                        yield b"".join(told)
        else:
            if reply.is_stream and isinstance(transcript, Transcript):
                answer = await _assembled(reply, transcript)
            else:
                answer = await whole(reply, transcript)
            yield Head(reply.status, JSON, len(answer))
            yield answer
    except UNREADABLE as error:
        raise engine.EngineFailed(f"the engine's answer cannot be read: {error!r}") from error


async def whole(reply: engine.EngineAnswer, transcript: Transcript | Vectors) -> bytes:
    """A whole answer for the developer. Raises UNREADABLE."""
    if len(reply.first) > LONG_ANSWER_BYTES:
        return await asyncio.to_thread(transcript.whole, reply.first)
    return transcript.whole(reply.first)


def _for_developer(data: bytes, transcript: Transcript) -> bytes:
    """The event for the developer, empty if there is nothing for them in it."""
    if data == sse.DONE:
        transcript.finish()
        return sse.event(data)
    told = transcript.event(data)
    return b"" if told is None else sse.event(told)


async def _assembled(reply: engine.EngineAnswer, transcript: Transcript) -> bytes:
    assembly = Assembly(is_chat=transcript.request.is_chat)
    async with aclosing(_events(reply)) as pieces:
        async for piece in pieces:
            for data in piece:
                if data == sse.DONE:
                    continue
                document = transcript.note(data)
                if "error" in document:
                    said = orjson.dumps(document["error"])[:300].decode(errors="replace")
                    raise engine.EngineFailed(f"the engine broke its answer off: {said}")
                assembly.add(document)
    transcript.finish()
    return assembly.whole()


async def _events(reply: engine.EngineAnswer) -> AsyncGenerator[list[bytes], None]:
    """The data of a stream's events, piece by piece.

    Raises NodeLost, also for a stream that ends without saying so, and for bytes that go on while events have ceased.
    """
    now = asyncio.get_running_loop().time
    last, events, piece, told_s = b"", sse.Events(), reply.first, now()
    while piece:
        told = events.feed(piece)
        if told:
            last = told[-1]
            yield told
            told_s = now()  # whoever takes the events may take their time
        elif now() > told_s + engine.STALL_SECONDS:
            raise engine.NodeLost(f"the stream has had no event for {engine.STALL_SECONDS:g} s")
        piece = await reply.more()
    if last != sse.DONE:
        raise engine.NodeLost("the stream ended before its last event")
