"""The official OpenAI client: `ask_openai.py MODEL KIND`, OPENAI_BASE_URL and OPENAI_API_KEY in the environment.

KIND: plain, stream, completion, completion_stream, unknown. The last line is JSON.
"""

import json
import sys

import openai

model, kind = sys.argv[1:]
client = openai.OpenAI(max_retries=0)
messages = [{"role": "user", "content": "What is an epoch?"}]
if kind == "plain":
    raw = client.chat.completions.with_raw_response.create(
        model=model, messages=messages, max_tokens=24, logprobs=True, top_logprobs=2
    )
    answer = raw.parse()
    positions = answer.choices[0].logprobs.content
    told = {
        "id": answer.id,
        "text": answer.choices[0].message.content,
        "usage": answer.usage.model_dump(),
        "alternatives": [len(each.top_logprobs) for each in positions],
        "models": [each.id for each in client.models.list()],
        "model": client.models.retrieve(model).model_dump(),
        "headers": dict(raw.headers),
    }
elif kind == "stream":
    chunks = list(
        client.chat.completions.create(
            model=model, messages=messages, max_tokens=24, stream=True, stream_options={"include_usage": True}
        )
    )
    told = {
        "ids": sorted({chunk.id for chunk in chunks}),
        "text": "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices),
        "usage": chunks[-1].usage.model_dump(),
    }
elif kind == "completion":
    answer = client.completions.create(model=model, prompt="An epoch is", max_tokens=24, logprobs=2)
    told = {
        "id": answer.id,
        "text": answer.choices[0].text,
        "usage": answer.usage.model_dump(),
        "tokens": answer.choices[0].logprobs.tokens,
    }
elif kind == "completion_stream":
    options = {"include_usage": True}
    chunks = list(
        client.completions.create(model=model, prompt="An epoch is", max_tokens=24, stream=True, stream_options=options)
    )
    told = {
        "ids": sorted({chunk.id for chunk in chunks}),
        "text": "".join(choice.text for chunk in chunks for choice in chunk.choices),
        "usage": chunks[-1].usage.model_dump(),
    }
else:
    try:
        client.chat.completions.create(model="no/such", messages=messages)
    except openai.NotFoundError as error:
        told = {"status": error.status_code, "code": error.code, "message": error.message}
sys.stdout.write(json.dumps(told))
