"""Computing an answer again on an own ML node: one prefill of prompt and answer, and whether they are the texts' tokens.

The engine is vLLM, unmodified, or one that offers the same: `/v1/completions` with token ids and `prompt_logprobs`,
`/tokenize` and `/detokenize`.
"""

import asyncio
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

import aiohttp
import orjson

from pivot.api.inference.engine import CLIENT_ERRORS, EngineFailed, NodeLost, longest_answer, read_whole
from pivot.api.inference.payload import payload
from pivot.api.validation.choice import JUDGED_WITHOUT
from pivot.api.validation.dates import LONGEST_DATE, differing, is_of_these_days
from pivot.api.validation.evidence import Evidence
from pivot.api.validation.positions import Replayed
from pivot.protocol.engine_arguments import LEAST_LOGPROBS

USUAL_MAX_LOGPROBS = 20
"""What vLLM offers when its arguments do not say."""
LONG_REPLAY_TOKENS = 8_192
"""From here on the replay asks for no more of each position than it must: the answer has all positions of the prompt."""
TIMEOUT = aiohttp.ClientTimeout(total=600, sock_connect=2)
LONGEST_SPECIAL_TEXT = 64
"""A token that ends answers has no longer name."""
MAX_STOP_TEXT = 4_096
_SPECIAL = re.compile(
    r"<[|\uff5c][^<>]{1,60}[|\uff5c]>|</?(s|bos|eos|pad|unk|start_of_turn|end_of_turn)>|\[/?[A-Z_]{2,40}\]"
)
"""How models write tokens that are no text. Engines leave them out of it, also where an answer goes on behind them (`ignore_eos`)."""
_HEADERS = {"Content-Type": "application/json", "Accept-Encoding": "identity"}
PLAIN_FIELDS = JUDGED_WITHOUT | {
    "best_of",
    "continue_final_message",
    "repetition_penalty",
    "logit_bias",
    "min_tokens",
    "response_format",
}
"""With these alone prompt and text follow from the tokens; of others an engine may make what it likes."""
_TEMPLATE_FIELDS = (
    "add_generation_prompt",
    "continue_final_message",
    "chat_template_kwargs",
    "add_special_tokens",
)


class TokensRefused(Exception):
    """The engine says that these cannot be tokens of its model: no honest engine has answered with them."""


class NotTheTexts(Exception):
    """The tokens are not those of the request's or of the answer's text."""


async def replay(
    http: aiohttp.ClientSession, url: str, model: str, evidence: Evidence, *, max_logprobs: int, plain_text: bool
) -> list[Replayed]:
    """The answer's positions as this engine sees them. One that fills the context is replayed without its last token, as an
    engine reads no prompt behind which it could say nothing.

    max_logprobs: of the model's registration. plain_text: whether the answer's text is that of its tokens and nothing else is
    made of them (reasoning). Raises NotTheTexts, TokensRefused, EngineFailed, NodeLost.
    """
    if is_plain(evidence.request):
        await _require_prompt(http, url, model, evidence)
        await _require_content(http, url, model, evidence, plain_text=plain_text)
    if not evidence.token_ids:
        return []
    tokens = [*evidence.prompt_token_ids, *evidence.token_ids]
    wanted = LEAST_LOGPROBS if len(tokens) > LONG_REPLAY_TOKENS else min(USUAL_MAX_LOGPROBS, max_logprobs)
    body: dict[str, Any] = {
        "model": model,
        "prompt": tokens,
        "max_tokens": 1,
        "temperature": 0,
        "prompt_logprobs": wanted,
        "add_special_tokens": False,
    }
    try:
        raw = await _post(http, url + "/v1/completions", body, body["prompt"])
    except TokensRefused:
        body["prompt"] = tokens[:-1]
        raw = await _post(http, url + "/v1/completions", body, body["prompt"])
    kept = len(body["prompt"]) - len(evidence.prompt_token_ids)
    return await asyncio.to_thread(positions, raw, evidence.token_ids[:kept])


def is_plain(request: Mapping[str, Any]) -> bool:
    """Whether it says nothing that could change the prompt or the text behind the tokens (tools, truncation, …)."""
    return all(name in PLAIN_FIELDS or value in (None, [], {}) for name, value in request.items())


def positions(raw: bytes, token_ids: Sequence[int]) -> list[Replayed]:
    """Those of the answer, from an engine's answer to a prefill. Raises EngineFailed."""
    try:
        if not token_ids:
            return []
        [choice] = orjson.loads(raw)["choices"]
        told = choice["prompt_logprobs"][-len(token_ids) :]
        if len(told) != len(token_ids):
            raise EngineFailed(f"the engine told {len(told)} positions of {len(token_ids)}")
        return [_position(token, entries) for token, entries in zip(token_ids, told, strict=True)]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise EngineFailed(f"the engine's log-probabilities cannot be read: {error!r}") from error


def _position(token: int, entries: dict[str, Any]) -> Replayed:
    own = entries[str(token)]
    ranked = sorted(
        (entry["rank"], int(known), entry["decoded_token"] or "", float(entry["logprob"]))
        for known, entry in entries.items()
    )
    most = len(ranked) if own["rank"] <= len(ranked) else len(ranked) - 1
    top = tuple((known, text, logprob) for _, known, text, logprob in ranked[:most])
    return Replayed(token, own["decoded_token"] or "", float(own["logprob"]), top)


async def _require_prompt(http: aiohttp.ClientSession, url: str, model: str, evidence: Evidence) -> None:
    """The prompt is the request's, whole: a shorter one would have been cheaper."""
    request = evidence.request
    body = {"model": model} | {name: request[name] for name in _TEMPLATE_FIELDS if request.get(name) is not None}
    if "messages" in request:
        body["messages"] = request["messages"]
        tokens = await _tokens(http, url, body)
        if await _is_of_another_day(http, url, model, tokens, evidence.prompt_token_ids):
            return
    else:
        prompt = request.get("prompt")
        if isinstance(prompt, list) and prompt and isinstance(prompt[0], str | list):
            prompt = prompt[0]
        tokens = prompt if isinstance(prompt, list) else await _tokens(http, url, body | {"prompt": prompt})
    if tokens != evidence.prompt_token_ids:
        raise NotTheTexts(
            f"the request has {len(tokens)} tokens, others than the {len(evidence.prompt_token_ids)} told"
        )


async def _is_of_another_day(
    http: aiohttp.ClientSession, url: str, model: str, tokens: Sequence[int], told: Sequence[int]
) -> bool:
    """Whether two prompts differ, and only in the day that the model's template has written into them."""
    today, texts = datetime.now(UTC).date(), []
    for part in differing(tokens, told):
        if len(part) > LONGEST_DATE:
            return False
        texts.append(await _text(http, url, model, part) if part else "")
    return any(texts) and all(is_of_these_days(text, today) for text in texts)


async def _tokens(http: aiohttp.ClientSession, url: str, body: dict[str, Any]) -> list[int]:
    try:
        return list(orjson.loads(await _post(http, url + "/tokenize", body))["tokens"])
    except (ValueError, KeyError, TypeError) as error:
        raise EngineFailed(f"the engine's tokens cannot be read: {error!r}") from error


async def _text(http: aiohttp.ClientSession, url: str, model: str, tokens: Sequence[int]) -> str:
    try:
        raw = await _post(http, url + "/detokenize", {"model": model, "tokens": list(tokens)}, tokens)
        return str(orjson.loads(raw)["prompt"])
    except (ValueError, KeyError, TypeError) as error:
        raise EngineFailed(f"the engine's text cannot be read: {error!r}") from error


async def _require_content(
    http: aiohttp.ClientSession, url: str, model: str, evidence: Evidence, *, plain_text: bool
) -> None:
    """What the developer was given is the text of the tokens; what ends an answer is not in it."""
    if not evidence.token_ids:
        return
    no_text = {place for place, (text, _, _) in enumerate(evidence.positions) if _SPECIAL.fullmatch(text)}
    said = [token for place, token in enumerate(evidence.token_ids) if place not in no_text]
    for tokens in (evidence.token_ids, said) if no_text else (evidence.token_ids,):
        if await _is_content(http, url, model, evidence, tokens, plain_text=plain_text):
            return
    raise NotTheTexts("the answer's text is not that of its tokens")


async def _is_content(
    http: aiohttp.ClientSession, url: str, model: str, evidence: Evidence, tokens: Sequence[int], *, plain_text: bool
) -> bool:
    given = _without_spaces(evidence.content)
    whole = _without_spaces(await _text(http, url, model, tokens)) if tokens else ""
    if given == whole or (not plain_text and given in whole):
        return True
    shorter = _without_spaces(await _text(http, url, model, tokens[:-1])) if tokens[1:] else ""
    last = len(whole) - len(shorter)
    longest = last + max((len(stop) for stop in _stops(evidence.request)), default=0)
    ended_by_its_own = given == shorter and last <= LONGEST_SPECIAL_TEXT
    ended_by_a_stop = longest > last and whole.startswith(given) and len(whole) - len(given) <= longest
    return ended_by_its_own or ended_by_a_stop


def _stops(request: dict[str, Any]) -> list[str]:
    stop = request.get("stop")
    listed = [stop] if isinstance(stop, str) else stop if isinstance(stop, list) else []
    return [each[:MAX_STOP_TEXT] for each in listed if isinstance(each, str)]


def _without_spaces(text: str) -> str:
    """How engines put spaces and broken characters between tokens differs."""
    return "".join(text.split()).replace("\ufffd", "")


async def _post(http: aiohttp.ClientSession, url: str, body: dict[str, Any], tokens: Sequence[int] = ()) -> bytes:
    """The answer, which tells of these tokens and of none besides what the body holds. Raises TokensRefused, EngineFailed, NodeLost."""
    sent = orjson.dumps(body)
    return await posted(http, url, sent, longest_answer(len(sent), len(tokens)))


async def posted(http: aiohttp.ClientSession, url: str, sent: bytes, most_bytes: int) -> bytes:
    """An own engine's answer to a body. Raises TokensRefused, EngineFailed, NodeLost."""
    try:
        async with http.post(
            url, data=payload(sent), headers=_HEADERS, timeout=TIMEOUT, allow_redirects=False
        ) as answer:
            raw = await read_whole(answer, most_bytes)
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise NodeLost(f"no answer from {url}: {error or type(error).__name__}") from error
    if answer.status in CLIENT_ERRORS:
        raise TokensRefused(f"the engine refuses: {raw[:200].decode(errors='replace')}")
    if answer.status != HTTPStatus.OK:
        raise EngineFailed(f"{url} answered with {answer.status}: {raw[:200].decode(errors='replace')}")
    return raw
