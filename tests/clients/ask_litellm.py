"""LiteLLM as a client: `ask_litellm.py MODEL`, OPENAI_BASE_URL and OPENAI_API_KEY in the environment. The last line is JSON."""

import json
import os
import sys

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"

import litellm

model, base = sys.argv[1], os.environ["OPENAI_BASE_URL"]
messages = [{"role": "user", "content": "What is an epoch?"}]
answer = litellm.completion(model=f"openai/{model}", messages=messages, max_tokens=24, api_base=base, num_retries=0)
chunks = list(
    litellm.completion(
        model=f"openai/{model}",
        messages=messages,
        max_tokens=24,
        api_base=base,
        stream=True,
        stream_options={"include_usage": True},
    )
)
text = f"text-completion-openai/{model}"
completion = litellm.text_completion(model=text, prompt="An epoch is", max_tokens=24, api_base=base)
pieces = list(litellm.text_completion(model=text, prompt="An epoch is", max_tokens=24, api_base=base, stream=True))
told = {
    "id": answer.id,
    "text": answer.choices[0].message.content,
    "usage": {"completion_tokens": answer.usage.completion_tokens},
    "streamed": "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices),
    "completion": completion.choices[0].text,
    "streamed_completion": "".join(piece.choices[0].text or "" for piece in pieces),
}
sys.stdout.write(json.dumps(told))
