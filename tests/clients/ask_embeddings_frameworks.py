"""LangChain and LiteLLM, asked for vectors: `ask_embeddings_frameworks.py MODEL`. The last line is JSON."""

import json
import os
import sys

import litellm
from langchain_openai import OpenAIEmbeddings

model = sys.argv[1]
texts = ["What is an epoch?", "A host proves compute."]
langchain = OpenAIEmbeddings(
    model=model, check_embedding_ctx_length=False
)  # its own tokens are those of OpenAI's models
answer = litellm.embedding(
    model=f"openai/{model}",
    input=texts,
    api_base=os.environ["OPENAI_BASE_URL"],
    api_key=os.environ["OPENAI_API_KEY"],
    encoding_format="float",
)
told = {
    "langchain": langchain.embed_documents(texts),
    "litellm": [each["embedding"] for each in answer.data],
    "usage": answer.usage.model_dump(),
}
sys.stdout.write(json.dumps(told))
