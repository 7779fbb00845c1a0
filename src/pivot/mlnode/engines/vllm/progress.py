"""How far vLLM's start has come, read from its log (0.32): shares of the whole are rough, their order is not."""

from __future__ import annotations

import re
from dataclasses import dataclass

from pivot.mlnode.engines.plan import Stage


@dataclass(frozen=True)
class Sign:
    """A line of the log, and what it tells. Groups `done` and `of`, or `percent`, say how far the stage itself is."""

    pattern: re.Pattern[str]
    text: str
    begins: float
    ends: float


def _sign(pattern: str, text: str, begins: float, ends: float | None = None) -> Sign:
    return Sign(re.compile(pattern), text, begins, begins if ends is None else ends)


SIGNS = (
    _sign(r"Resolved architecture", "reading the model's configuration", 0.05),
    _sign(r"Initializing a V\d LLM engine", "starting the engine's processes", 0.1),
    _sign(r"Starting to load model", "loading weights", 0.2),
    _sign(
        r"Loading \S+ checkpoint shards: .*\| (?P<done>\d+)/(?P<of>\d+)|"
        r"Multi-thread loading shards: .*\| (?P<done2>\d+)/(?P<of2>\d+)",
        "loading weights",
        0.2,
        0.7,
    ),
    _sign(r"Loading weights took|Model loading took", "weights are loaded", 0.7),
    _sign(r"Dynamo bytecode transform|Compiling a graph|torch\.compile", "compiling", 0.75),
    _sign(r"KV cache size", "reserving the key-value cache", 0.85),
    _sign(r"[Ww]arm(?:ing)? ?up", "warming up", 0.86),
    _sign(r"Capturing .*CUDA graphs.*: +(?P<percent>\d+)%", "capturing graphs", 0.86, 0.97),
    _sign(r"Graph capturing finished", "graphs are captured", 0.97),
    _sign(r"Starting vLLM (?:API )?server", "opening its port", 0.98),
)


def stage_of(line: str) -> Stage | None:
    """What a line tells of the start; None for one that tells nothing."""
    for sign in SIGNS:
        if found := sign.pattern.search(line):
            return _stage(sign, found.groupdict())
    return None


def _stage(sign: Sign, told: dict[str, str | None]) -> Stage:
    span = sign.ends - sign.begins
    if percent := told.get("percent"):
        return Stage(f"{sign.text}, {percent} %", sign.begins + span * min(int(percent), 100) / 100)
    done, of = told.get("done") or told.get("done2"), told.get("of") or told.get("of2")
    if done and of and int(of):
        share = min(int(done) / int(of), 1)
        return Stage(f"{sign.text}, shard {done} of {of}", sign.begins + span * share)
    return Stage(sign.text, sign.begins)
