"""What is asked in a request for embeddings: the form of its `input`, and what is not offered beside it."""

from typing import Any

from pivot.api.http.errors import BadRequest, MalformedBody

MAX_INPUTS = 1_024
"""Of one request. With `embeddings.MAX_DIMENSIONS` it bounds an answer, and the artifact that a checker gets."""
FORMATS = ("float", "base64")
NOT_OFFERED = (
    "messages",
    "prompt",
    "padding",  # work that tokens do not price
    "embed_dtype",  # base64 is of 32-bit floats, as OpenAI's
    "endianness",
    "stream",
)


def check(document: dict[str, Any]) -> None:
    """Raises MalformedBody or BadRequest, which names the field."""
    _check_inputs(document.get("input"))
    if document.get("encoding_format") not in (None, *FORMATS):
        raise MalformedBody("encoding_format must be float or base64", param="encoding_format")
    dimensions = document.get("dimensions")
    if dimensions is not None and (type(dimensions) is not int or dimensions < 1):
        raise MalformedBody("dimensions must be a whole number above 0", param="dimensions")
    if document.get("n") not in (None, 1):
        raise BadRequest("n must be 1: a text has one vector", param="n")
    for name in NOT_OFFERED:
        if document.get(name) not in (None, False, "", [], {}):
            raise BadRequest(f"{name} is not offered for embeddings", param=name)


def count(document: dict[str, Any]) -> int:
    """How many vectors a request that was checked asks for."""
    asked = document["input"]
    return len(asked) if isinstance(asked, list) and _are_several(asked) else 1


def _check_inputs(asked: Any) -> None:
    if isinstance(asked, str) and asked:
        return
    if not isinstance(asked, list) or not asked:
        raise MalformedBody("input must be a text, token ids, or a list of either, and not empty", param="input")
    inputs = asked if _are_several(asked) else [asked]
    if len(inputs) > MAX_INPUTS:
        raise BadRequest(f"input has {len(inputs)} inputs, at most {MAX_INPUTS} are taken at a time", param="input")
    kind = type(inputs[0])
    for index, each in enumerate(inputs):
        if type(each) is not kind or not (each if kind is str else _are_ids(each)):
            sentence = f"input[{index}] must be a text, or token ids, as all others, and not empty"
            raise MalformedBody(sentence, param="input")


def _are_several(asked: list[Any]) -> bool:
    """Token ids alone are one input."""
    return isinstance(asked[0], str | list)


def _are_ids(tokens: Any) -> bool:
    return isinstance(tokens, list) and bool(tokens) and all(type(token) is int and token >= 0 for token in tokens)
