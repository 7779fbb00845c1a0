"""The messages of a chat: what their contents may be made of.

Media must lie in the body itself, as `data:` URLs. A checker has to see what the executor's engine saw, which the address of a
picture does not promise, and a host's machines must not fetch what a stranger names.
"""

from typing import Any

from pivot.api.http.errors import BadRequest, MalformedBody

INLINE = "data:"
_MEDIA_URLS = frozenset({"image_url", "audio_url", "video_url"})
"""Kinds of parts whose media stand under the part's own name, as `{"url": …}` or as the URL itself."""
_PART_FIELDS = {kind: {"type", kind} for kind in ("text", "input_audio", *_MEDIA_URLS)}


def check(messages: Any) -> None:
    """Raises MalformedBody or BadRequest, which names the message."""
    if not isinstance(messages, list):
        raise MalformedBody("messages must be a list", param="messages")
    for index, message in enumerate(messages):
        if not isinstance(message, dict) or not isinstance(message.get("role"), str):
            raise MalformedBody(f"messages[{index}] must be an object with a role", param=f"messages[{index}]")
        content, place = message.get("content"), f"messages[{index}].content"
        if isinstance(content, list):
            for part in content:
                _check_part(part, place)
        elif not isinstance(content, str | None):
            raise MalformedBody(f"{place} must be a text, or a list of parts", param=place)


def have_media(messages: list[dict[str, Any]]) -> bool:
    """Whether something besides text is in messages that were checked."""
    return any(
        isinstance(content := message.get("content"), list) and any(part["type"] != "text" for part in content)
        for message in messages
    )


def _check_part(part: Any, place: str) -> None:
    kind = part.get("type") if isinstance(part, dict) else None
    fields = _PART_FIELDS.get(kind) if isinstance(kind, str) else None
    if fields is None:
        raise BadRequest(f"{place} may hold parts of the types {', '.join(_PART_FIELDS)}", param=place)
    if kind in _MEDIA_URLS and part.keys() - fields:
        raise BadRequest(f"{place}: a part of type {kind} has no field besides type and {kind}", param=place)
    value = part.get(kind)
    if kind == "text":
        if not isinstance(value, str):
            raise MalformedBody(f"{place}: text must be a text", param=place)
    elif kind == "input_audio":
        if not isinstance(value, dict) or not isinstance(value.get("data"), str):
            raise MalformedBody(f"{place}: input_audio must be an object with data in base64", param=place)
    else:
        url = value.get("url") if isinstance(value, dict) else value
        if not isinstance(url, str) or not url.startswith(INLINE):
            raise BadRequest(f"{place}: {kind} must be a data: URL, so that a checker sees the same", param=place)
