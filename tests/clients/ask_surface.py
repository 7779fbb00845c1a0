"""The official OpenAI client, going through what a chat can be asked: `ask_surface.py MODEL`. The last line is JSON, by name of question."""

import json
import sys
from typing import Any

import openai

model = sys.argv[1]
client = openai.OpenAI(max_retries=0, timeout=120)
MESSAGES = [{"role": "user", "content": "What is an epoch?"}]
SCHEMA = {
    "type": "object",
    "properties": {"answer": {"enum": ["yes", "no"]}},
    "required": ["answer"],
    "additionalProperties": False,
}
TOOL = {"type": "function", "function": {"name": "look_up", "parameters": SCHEMA, "strict": True}}
NAMED = {"type": "function", "function": {"name": "look_up"}}
PICTURE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}


def ask(**fields: Any) -> dict[str, Any]:
    """A whole answer, or a refusal."""
    asked = {"model": model, "messages": MESSAGES, "max_tokens": 8, "seed": 1, **fields}
    try:
        raw = client.chat.completions.with_raw_response.create(**asked)
    except openai.APIStatusError as error:
        return {"status": error.status_code, "code": error.code, "param": error.param, "message": error.message}
    return {"status": 200, **json.loads(raw.text)}


def stream(**fields: Any) -> dict[str, Any]:
    """A stream: its deltas by choice, and its usages."""
    asked = {"model": model, "messages": MESSAGES, "max_tokens": 8, "seed": 1, "stream": True, **fields}
    chunks = [chunk.model_dump() for chunk in client.chat.completions.create(**asked)]
    told: dict[str, Any] = {"texts": {}, "arguments": "", "usages": [], "logprobs": 0, "ends": []}
    for chunk in chunks:
        if chunk.get("usage"):
            told["usages"].append(chunk["usage"])
        for choice in chunk["choices"]:
            place = str(choice["index"])
            told["texts"][place] = told["texts"].get(place, "") + (choice["delta"].get("content") or "")
            told["logprobs"] += bool(choice.get("logprobs"))
            told["ends"] += [choice["finish_reason"]] if choice["finish_reason"] else []
            for call in choice["delta"].get("tool_calls") or []:
                told["arguments"] += call["function"].get("arguments") or ""
    return told


USAGE = {"include_usage": True}
JSON_SCHEMA = {"type": "json_schema", "json_schema": {"name": "answer", "schema": SCHEMA, "strict": True}}
told = {
    "plain": ask(),
    "long": ask(max_tokens=80, extra_body={"ignore_eos": True}),
    "seeded": [ask(temperature=1)["choices"][0]["message"]["content"] for _ in range(2)],
    "several": ask(n=3, temperature=1),
    "logprobs": ask(logprobs=True, top_logprobs=2),
    "max_completion_tokens": ask(max_tokens=openai.omit, max_completion_tokens=3, extra_body={"ignore_eos": True}),
    "schema": ask(response_format=JSON_SCHEMA, max_tokens=300),
    "tool": ask(tools=[TOOL], tool_choice=NAMED, max_tokens=300),
    "guided": ask(extra_body={"structured_outputs": {"choice": ["red", "blue"]}}),
    "stream": stream(),
    "stream_usage": stream(stream_options=USAGE),
    "stream_continuous": stream(stream_options={**USAGE, "continuous_usage_stats": True}),
    "stream_several": stream(n=2, temperature=1, stream_options=USAGE),
    "stream_logprobs": stream(logprobs=True, top_logprobs=1),
    "stream_schema": stream(response_format=JSON_SCHEMA, max_tokens=300),
    "stream_tool": stream(tools=[TOOL], tool_choice=NAMED, max_tokens=300),
    "picture": ask(messages=[{"role": "user", "content": [{"type": "text", "text": "What is it?"}, PICTURE]}]),
    "too_long": ask(messages=[{"role": "user", "content": "word " * 3_000}]),
    "too_many": ask(max_tokens=5_000),
    "too_hot": ask(temperature=9),
    "bad_schema": ask(response_format={"type": "json_schema"}),
    "unknown_model": ask(model="no/such"),
    "empty": ask(messages=[]),
}
stop = told["long"]["choices"][0]["message"]["content"][2:4]
told["stopped"] = ask(max_tokens=80, stop=[stop])
sys.stdout.write(json.dumps(told))
