"""LangChain: `ask_langchain.py MODEL`, OPENAI_BASE_URL and OPENAI_API_KEY in the environment. The last line is JSON."""

import json
import sys

from langchain_openai import ChatOpenAI, OpenAI

model = sys.argv[1]
chat = ChatOpenAI(model=model, max_tokens=24, max_retries=0, stream_usage=True)
answer = chat.invoke("What is an epoch?")
chunks = list(chat.stream("What is an epoch?"))
text = OpenAI(model=model, max_tokens=24, max_retries=0)
told = {
    "id": answer.response_metadata["id"],
    "text": answer.content,
    "usage": answer.usage_metadata,
    "streamed": "".join(chunk.content for chunk in chunks),
    "streamed_usage": next(chunk.usage_metadata for chunk in reversed(chunks) if chunk.usage_metadata),
    "completion": text.invoke("An epoch is"),
    "streamed_completion": "".join(text.stream("An epoch is")),
}
sys.stdout.write(json.dumps(told))
