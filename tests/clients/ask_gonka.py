"""gonka-openai, which signs every request: `ask_gonka.py MODEL`, with GONKA_… in the environment. The last line is JSON."""

import json
import sys

from gonka_openai import GonkaOpenAI

client = GonkaOpenAI(max_retries=0)
messages = [{"role": "user", "content": "What is a host?"}]
answer = client.chat.completions.create(model=sys.argv[1], messages=messages, max_tokens=24)
chunks = list(client.chat.completions.create(model=sys.argv[1], messages=messages, max_tokens=24, stream=True))
told = {
    "id": answer.id,
    "text": answer.choices[0].message.content,
    "streamed": "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices),
    "base_url": str(client.base_url),
    "address": client.gonka_address,
}
sys.stdout.write(json.dumps(told))
