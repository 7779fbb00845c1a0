"""The official OpenAI client: `ask_embeddings.py MODEL`, OPENAI_BASE_URL and OPENAI_API_KEY in the environment. The last line is JSON."""

import json
import sys

import openai

model = sys.argv[1]
client = openai.OpenAI(max_retries=0)
texts = ["What is an epoch?", "A host proves compute."]
raw = client.embeddings.with_raw_response.create(model=model, input=texts)
answer = raw.parse()
floats = client.embeddings.create(model=model, input=texts[0], encoding_format="float")


def refusal(**asked: object) -> list[object]:
    try:
        client.embeddings.create(**asked)
    except openai.APIStatusError as error:
        return [error.status_code, error.code]
    return []


def chat_refusal() -> list[object]:
    try:
        client.chat.completions.create(model=model, messages=[{"role": "user", "content": "hi"}])
    except openai.APIStatusError as error:
        return [error.status_code, error.code]
    return []


told = {
    "headers": dict(raw.headers),
    "vectors": [each.embedding for each in answer.data],
    "float": floats.data[0].embedding,
    "usage": answer.usage.model_dump(),
    "model": client.models.retrieve(model).model_dump(),
    "empty": refusal(model=model, input=""),
    "too_long": refusal(model=model, input="word " * 2_000),
    "chat": chat_refusal(),
}
sys.stdout.write(json.dumps(told))
