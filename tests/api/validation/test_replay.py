"""The replay on an engine: what is asked of it, and what its answers mean."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import orjson
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from pivot.api.inference.engine import EngineFailed, NodeLost
from pivot.api.validation.evidence import Evidence
from pivot.api.validation.replay import LONG_REPLAY_TOKENS, NotTheTexts, TokensRefused, is_plain, positions, replay
from tests.api.serving import serving

MODEL = "m"


class Engine:
    """As vLLM answers; tests say what."""

    def __init__(self) -> None:
        self.url = ""
        self.asked: dict[str, Any] = {}
        self.tokens: Any = [1, 2, 3]
        self.text: Any = "ab<end>"
        self.shorter: str | None = "ab"
        """Without the last token."""
        self.status = 200
        self.longest = 10_000
        self.told: Any = None
        self.names: dict[int, str] = {}
        """Texts of tokens that stand alone."""

    async def tokenize(self, request: Request) -> JSONResponse:
        self.asked["tokenize"] = await request.json()
        return JSONResponse({"tokens": self.tokens}, self.status)

    async def detokenize(self, request: Request) -> JSONResponse:
        self.asked["detokenize"] = await request.json()
        tokens = self.asked["detokenize"]["tokens"]
        text = self.text if self.shorter is None or len(tokens) == 3 else self.shorter
        text = self.names.get(tokens[0], text)
        return JSONResponse({"prompt": text})

    async def complete(self, request: Request) -> JSONResponse:
        body = self.asked["completions"] = await request.json()
        if len(body["prompt"]) >= self.longest:
            return JSONResponse({"error": {"message": "too long"}}, 400)
        told = [None, *({str(token): entry(token)} for token in body["prompt"][1:])] if self.told is None else self.told
        return JSONResponse({"choices": [{"prompt_logprobs": told}]})


def entry(token: int, rank: int = 1, logprob: float = -0.5) -> dict[str, Any]:
    return {"logprob": logprob, "rank": rank, "decoded_token": f"<{token}>"}


@pytest.fixture
async def engine() -> AsyncIterator[Engine]:
    engine = Engine()
    routes = [
        Route("/tokenize", engine.tokenize, methods=["POST"]),
        Route("/detokenize", engine.detokenize, methods=["POST"]),
        Route("/v1/completions", engine.complete, methods=["POST"]),
    ]
    async with serving(Starlette(routes=routes)) as engine.url:
        yield engine


def evidence(content: str = "ab", token_ids: tuple[int, ...] = (5, 6, 7)) -> Evidence:
    return Evidence(
        request={"model": MODEL, "messages": [{"role": "user", "content": "?"}]},
        prompt_token_ids=[1, 2, 3],
        token_ids=list(token_ids),
        positions=[],
        content=content,
    )


async def run(engine: Engine, shown: Evidence, *, max_logprobs: int = 20, plain_text: bool = True) -> list[Any]:
    async with aiohttp.ClientSession() as http:
        return list(await replay(http, engine.url, MODEL, shown, max_logprobs=max_logprobs, plain_text=plain_text))


async def test_one_prefill_of_prompt_and_answer_as_token_ids(engine: Engine) -> None:
    shown = evidence()
    shown.request["chat_template_kwargs"] = {"enable_thinking": False}
    found = await run(engine, shown)
    assert [each.token for each in found] == [5, 6, 7]
    assert engine.asked["completions"]["prompt"] == [1, 2, 3, 5, 6, 7]
    assert (engine.asked["completions"]["max_tokens"], engine.asked["completions"]["prompt_logprobs"]) == (1, 20)
    assert engine.asked["tokenize"]["chat_template_kwargs"] == {"enable_thinking": False}
    assert engine.asked["detokenize"]["tokens"] == [5, 6]  # after all three, as the text ends with a token of its own


async def test_no_more_is_asked_for_than_the_model_offers_or_a_long_text_bears(engine: Engine) -> None:
    await run(engine, evidence(), max_logprobs=7)
    assert engine.asked["completions"]["prompt_logprobs"] == 7
    engine.longest = 10**6
    await run(engine, evidence("ab", tuple(range(LONG_REPLAY_TOKENS))), plain_text=False)
    assert engine.asked["completions"]["prompt_logprobs"] == 5


async def test_an_answer_that_fills_the_context_is_replayed_without_its_last_token(engine: Engine) -> None:
    engine.longest = 6
    assert [each.token for each in await run(engine, evidence())] == [5, 6]
    engine.longest = 4
    with pytest.raises(TokensRefused):
        await run(engine, evidence())
    assert await run(engine, evidence(token_ids=(5,)), plain_text=False) == []


async def test_m_item34_a_cut_prompt_is_not_the_requests(engine: Engine) -> None:
    engine.tokens = [1, 2, 3, 4]
    with pytest.raises(NotTheTexts):
        await run(engine, evidence())


async def test_a_prompt_that_has_yesterdays_date_in_it_accuses_nobody(engine: Engine) -> None:
    """Some models' templates tell the day, and a check is made on another one than the answer."""
    today = datetime.now(UTC)
    engine.tokens = [1, 9, 3]
    engine.names = {9: f"{today:%d %B}", 2: f"{today - timedelta(days=1):%d %B}"}
    assert len(await run(engine, evidence())) == 3
    engine.names[2] = f"{today - timedelta(days=1):%d %B}, and"
    with pytest.raises(NotTheTexts):
        await run(engine, evidence())
    engine.names[2], engine.tokens = "", [1, *range(100, 200), 3]
    with pytest.raises(NotTheTexts):
        await run(engine, evidence())


@pytest.mark.parametrize("fields", [{"truncate_prompt_tokens": 2}, {"tools": [{"type": "function"}]}])
async def test_a_request_that_changes_the_prompt_accuses_nobody(engine: Engine, fields: dict[str, Any]) -> None:
    """Otherwise a developer could have honest hosts called frauds."""
    engine.tokens, engine.text = [9], "other"
    shown = evidence()
    shown.request.update(fields)
    assert len(await run(engine, shown)) == 3
    assert engine.asked.keys() == {"completions"}
    assert is_plain({"tools": [], "seed": 1, "logit_bias": {"5": 1}, "response_format": {"type": "json_object"}})


@pytest.mark.parametrize(
    ("prompt", "asked"),
    [("text", "text"), (["text"], "text"), ([1, 2, 3], None), ([[1, 2, 3]], None)],
)
async def test_a_completions_prompt_is_a_text_or_its_tokens(engine: Engine, prompt: Any, asked: str | None) -> None:
    shown = evidence()
    del shown.request["messages"]
    shown.request["prompt"] = prompt
    assert len(await run(engine, shown)) == 3
    assert engine.asked.get("tokenize", {}).get("prompt") == asked


@pytest.mark.parametrize(
    ("content", "text", "shorter", "fields", "good"),
    [
        ("ab", "ab", "a", {}, True),
        ("a b", "ab<|im_end|>", "a\ufffdb", {}, True),
        ("ab", "abSTOP and more", "abSTOP and mo", {"stop": ["STOP and more"]}, True),
        ("ab", "ab" + "x" * 20, "ab", {"stop": "y" * 20}, True),
        ("ab", "ab" + "x" * 80, "ab", {}, False),
        ("ab", "ab" + "x" * 20, "ab" + "x" * 17, {}, False),
        ("", "ab" + "x" * 20, "ab", {"stop": 5}, False),
        ("", "ab<end>", "ab", {}, False),
        ("abc", "ab", "a", {"stop": ["z"]}, False),
        ("b", "ab", "a", {}, False),
    ],
)
async def test_the_developer_was_given_the_text_of_the_tokens(
    engine: Engine, content: str, text: str, shorter: str, fields: dict[str, Any], good: bool
) -> None:
    engine.text, engine.shorter = text, shorter
    shown = evidence(content)
    shown.request.update(fields)
    if good:
        assert len(await run(engine, shown)) == 3
    else:
        with pytest.raises(NotTheTexts):
            await run(engine, shown)


@pytest.mark.parametrize(
    ("texts", "content", "good"),
    [
        (["a", "<|im_end|>", "b"], "ab", True),
        (["a", "</s>", "[INST]"], "a", True),
        (["<\uff5cend\uff5c>", "<pad>", "<eos>"], "", True),
        (["a", "<p>", "b"], "ab", False),
        (["a", "[1]", "b"], "ab", False),
        (["a", "<|im_end|>", "b"], "a", False),
    ],
)
async def test_an_answer_that_goes_on_behind_its_end_is_its_text_without_the_ends(
    engine: Engine, texts: list[str], content: str, good: bool
) -> None:
    shown = evidence(content)
    shown.positions.extend((text, -1.0, [(text, -1.0)]) for text in texts)
    engine.text, engine.shorter = "".join(texts) + "x" * 80, "ab" if "b" in texts else "a"
    if good:
        assert len(await run(engine, shown)) == 3
    else:
        engine.shorter = "".join(texts)
        with pytest.raises(NotTheTexts):
            await run(engine, shown)


async def test_where_an_engine_makes_more_of_a_text_only_a_part_of_it_is_content(engine: Engine) -> None:
    engine.text = engine.shorter = "<think>much thought</think>ab"
    with pytest.raises(NotTheTexts):
        await run(engine, evidence("ab"))
    assert len(await run(engine, evidence("ab"), plain_text=False)) == 3


async def test_an_answer_of_no_tokens_needs_no_replay(engine: Engine) -> None:
    assert await run(engine, evidence("", ())) == []
    assert "completions" not in engine.asked


async def test_faults_of_the_engine_are_nobodys_elses(engine: Engine) -> None:
    engine.status = 500
    with pytest.raises(EngineFailed):
        await run(engine, evidence())
    engine.status, engine.tokens = 200, None
    with pytest.raises(EngineFailed):
        await run(engine, evidence())
    engine.tokens, engine.told = [1, 2, 3], [None]
    with pytest.raises(EngineFailed):
        await run(engine, evidence())
    engine.tokens = list(range(300_000))
    with pytest.raises(EngineFailed, match="writes more"):
        await run(engine, evidence())
    engine.url = "http://127.0.0.1:1"
    with pytest.raises(NodeLost):
        await run(engine, evidence())


def test_positions_are_read_as_vllm_tells_them() -> None:
    """The token itself stands among the most likely ones, or behind them with its own rank."""
    among = {"5": entry(5, 2, -1.0), "8": entry(8, 1, -0.5), "9": entry(9, 3, -2.0)}
    behind = {"6": entry(6, 40, -9.0), "8": entry(8, 1, -0.1), "9": entry(9, 2, -3.0)}
    raw = orjson.dumps({"choices": [{"prompt_logprobs": [None, {"1": entry(1)}, among, behind]}]})
    first, second = positions(raw, [5, 6])
    assert [token for token, _, _ in first.top] == [8, 5, 9]
    assert (first.logprob, first.text) == (-1.0, "<5>")
    assert [token for token, _, _ in second.top] == [8, 9]
    assert second.logprob == -9.0
