"""Whatever JSON a question is, and whatever its headers say: no 5xx, no hang, no look inside, and the next one is answered."""

import asyncio
from collections import Counter
from typing import Any

import orjson
import requests
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from pivot.api.inference.request import CHAT_PATH, COMPLETIONS_PATH, EMBEDDINGS_PATH
from tests.api.inference.network import API_KEY, EPOCH, MODEL, Network
from tests.api.security.ports import INTERNALS
from tests.api.security.test_openapi import ANSWER_SECONDS

EXAMPLES = 120
NUMBERS = st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False, allow_infinity=False)
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
MESSAGES = st.lists(
    st.fixed_dictionaries({}, optional={"role": VALUES, "content": VALUES, "tool_calls": VALUES}), max_size=3
)
FIELDS = {
    **dict.fromkeys(
        (
            "max_tokens",
            "max_completion_tokens",
            "n",
            "stop",
            "seed",
            "logprobs",
            "top_logprobs",
            "stream",
            "stream_options",
            "temperature",
            "tools",
            "tool_choice",
            "response_format",
            "return_token_ids",
            "model",
            "prompt",
            "input",
            "encoding_format",
            "dimensions",
            "user",
            "chat_template_kwargs",
        ),
        VALUES,
    ),
    "messages": MESSAGES | VALUES,
}
QUESTIONS = st.lists(st.sampled_from(sorted(FIELDS)), max_size=3, unique=True).flatmap(
    lambda names: st.fixed_dictionaries({name: FIELDS[name] for name in names})
)
HEADERS = st.dictionaries(
    st.sampled_from(["X-Request-Id", "X-Timestamp", "X-Requester-Address", "X-Start", "X-Patience", "X-Inference-Id"]),
    st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=40),
    max_size=2,
)


ASKED: dict[str, dict[str, Any]] = {
    CHAT_PATH: {"messages": [{"role": "user", "content": "?"}]},
    COMPLETIONS_PATH: {"prompt": "?"},
    EMBEDDINGS_PATH: {"input": "?"},
}


def send_anything(url: str, *paths: str) -> Counter[int]:
    """How often each status was answered."""
    statuses: Counter[int] = Counter()
    with requests.Session() as session:

        @settings(
            max_examples=EXAMPLES,
            derandomize=True,
            database=None,
            deadline=None,
            phases=[Phase.explicit, Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(
            fields=QUESTIONS,
            complete=st.booleans(),
            path=st.sampled_from(paths),
            headers=HEADERS,
            signed=st.booleans(),
        )
        def ask(fields: dict[str, Any], complete: bool, path: str, headers: dict[str, str], signed: bool) -> None:
            asked = ASKED[path]
            document = {"model": MODEL, "max_tokens": 4, **asked, **fields} if complete else fields
            credentials = "c2lnbmVk" if signed else f"Bearer {API_KEY}"
            answer = session.post(
                url + path,
                data=orjson.dumps(document),
                headers={"Authorization": credentials, **headers},
                timeout=ANSWER_SECONDS,
            )
            statuses[answer.status_code] += 1
            assert answer.status_code < 500, (document, headers, answer.text)
            assert not any(each in answer.text for each in INTERNALS), answer.text

        ask()
    return statuses


async def test_a4_nothing_that_is_asked_breaks_the_request_path(network: Network) -> None:
    host = network.hosts[0]
    statuses = await asyncio.to_thread(send_anything, host.url, *ASKED)
    assert {200, 400, 401} <= set(statuses)
    assert (await network.post(host, network.body())).status == 200


async def test_a4_nothing_that_is_asked_for_vectors_breaks_the_request_path(network: Network) -> None:
    network.chain.groups[EPOCH, MODEL].model_snapshot.model_args.extend(["--runner", "pooling"])
    statuses = await asyncio.to_thread(send_anything, network.hosts[0].url, EMBEDDINGS_PATH)
    assert {200, 400, 401} <= set(statuses)
