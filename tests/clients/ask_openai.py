"""The official OpenAI client: `ask_openai.py MODEL plain|stream|unknown`, OPENAI_BASE_URL and OPENAI_API_KEY in the environment."""

import json
import sys

import openai

model, kind = sys.argv[1:]
client = openai.OpenAI(max_retries=0)
messages = [{"role": "user", "content": "What is an epoch?"}]
if kind == "plain":
    answer = client.chat.completions.create(
        model=model, messages=messages, max_tokens=24, logprobs=True, top_logprobs=2
    )
    positions = answer.choices[0].logprobs.content
    told = {
        "id": answer.id,
        "text": answer.choices[0].message.content,
        "usage": answer.usage.model_dump(),
        "alternatives": [len(each.top_logprobs) for each in positions],
        "models": [each.id for each in client.models.list()],
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
else:
    try:
        client.chat.completions.create(model="no/such", messages=messages)
    except openai.NotFoundError as error:
        told = {"status": error.status_code, "code": error.code, "message": error.message}
sys.stdout.write(json.dumps(told))
