"""The routes of questions on the port's OpenAPI page. They are served on the raw request, so FastAPI does not know them."""

from typing import Any

from fastapi import FastAPI

from pivot.api.inference.embedding_input import FORMATS, MAX_INPUTS
from pivot.api.inference.request import CHAT_PATH, COMPLETIONS_PATH, EMBEDDINGS_PATH

ERROR = {
    "type": "object",
    "properties": {
        "error": {
            "type": "object",
            "properties": {name: {"type": ["string", "null"]} for name in ("message", "type", "param", "code")},
        }
    },
}
REFUSALS = {
    "400": "The request is at fault; the sentence names the field.",
    "401": "No credentials, or wrong ones.",
    "402": "The account that would pay holds too little.",
    "404": "The network serves no such model, or not at this path.",
    "413": "The body is too long.",
    "429": "More than this key, or this host, may have; with Retry-After.",
    "503": "Nobody can answer now; with Retry-After.",
}
GENERATION: dict[str, Any] = {
    "stream": {"type": "boolean"},
    "max_tokens": {"type": "integer", "minimum": 1},
}
EMBEDDING: dict[str, Any] = {
    "encoding_format": {"enum": list(FORMATS)},
    "dimensions": {"type": "integer", "minimum": 1},
}
TOKENS: dict[str, Any] = {"type": "array", "items": {"type": "integer", "minimum": 0}, "minItems": 1}
INPUT: dict[str, Any] = {
    "anyOf": [
        {"type": "string", "minLength": 1},
        {"type": "array", "items": {"type": "string", "minLength": 1}, "minItems": 1, "maxItems": MAX_INPUTS},
        TOKENS,
        {"type": "array", "items": TOKENS, "minItems": 1, "maxItems": MAX_INPUTS},
    ]
}


def describe_questions(app: FastAPI) -> None:
    """Add the questions to the page of an application."""
    of_routes = app.openapi

    def described() -> dict[str, Any]:
        document = of_routes()
        paths: dict[str, Any] = document["paths"]
        messages = {"type": "array", "items": {"type": "object"}, "minItems": 1}
        paths[CHAT_PATH] = {"post": _question("Chat Completion", "messages", messages, GENERATION)}
        paths[COMPLETIONS_PATH] = {"post": _question("Completion", "prompt", {"type": "string"}, GENERATION)}
        paths[EMBEDDINGS_PATH] = {"post": _question("Embeddings", "input", INPUT, EMBEDDING)}
        return document

    app.openapi = described  # type: ignore[method-assign]  # as FastAPI's own pages tell to extend it


def _question(title: str, asked: str, shape: dict[str, Any], options: dict[str, Any]) -> dict[str, Any]:
    streams: dict[str, Any] = {"text/event-stream": {}} if "stream" in options else {}
    fields = {"model": {"type": "string"}, asked: shape, **options}
    body = {"type": "object", "required": ["model", asked], "properties": fields}
    return {
        "summary": title,
        "description": "As OpenAI's of this name; what this host does not know of is passed on to the engine.",
        "requestBody": {"required": True, "content": {"application/json": {"schema": body}}},
        "responses": {
            "200": {
                "description": "The answer; with `stream`, where there is one, as events.",
                "content": {"application/json": {}, **streams},
            },
            **{
                status: {"description": says, "content": {"application/json": {"schema": ERROR}}}
                for status, says in REFUSALS.items()
            },
        },
    }
