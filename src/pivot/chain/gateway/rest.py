"""REST: every method under the routes that its proto names (`google.api.http`), in the JSON of the Cosmos SDK's gateway.

Path segments may be percent-encoded, so an id with `/` in it fits one segment. A name in the query string that the request
does not have is passed over, as there; a value that does not fit its field is refused.
"""

import re
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl, unquote

import cosmpy.protos  # noqa: F401  (puts the folder of the standard types on the path)
import orjson
from google.api import annotations_pb2
from google.protobuf import json_format
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from grpc import StatusCode

from pivot.chain.gateway.json_form import document
from pivot.chain.gateway.json_parse import InvalidJson, read
from pivot.chain.gateway.methods import Method
from pivot.chain.gateway.refusals import Refusal

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

HEIGHT_HEADER = "x-cosmos-block-height"
HEIGHT_ANSWERED = (HEIGHT_HEADER, f"grpc-metadata-{HEIGHT_HEADER}")
"""How the height of the answer's state is told: short, and as the Cosmos SDK's gateway does."""
PREFLIGHT = {
    "access-control-allow-methods": "GET, POST",
    "access-control-allow-headers": f"content-type, {HEIGHT_HEADER}",
    "access-control-max-age": "86400",
}
"""What a web page is told before it sends JSON here: any page may."""
MAX_BODY_BYTES = 2 * 2**20
MAX_QUERY_FIELDS = 100
_NUMBER = re.compile(r"[0-9]{1,19}")
_BASE64 = re.compile(r"(?:[\w+/-]{4})*(?:[\w+/-]{2}==|[\w+/-]{3}=)?", re.ASCII)
_VARIABLE = re.compile(r"\{([a-zA-Z0-9_.]+)(?:=(\*\*?))?\}")


@dataclass(frozen=True)
class Route:
    """One HTTP method and path template of one method."""

    verb: str
    pattern: re.Pattern[str]
    fields: tuple[str, ...]
    """Names of the path's variables, in order."""
    takes_body: bool
    method: Method
    literal: int
    """Length of the template's fixed text: the more specific of two routes that fit wins, of two alike the later one."""


class RestApplication:
    """An ASGI application over the table of methods."""

    def __init__(self, methods: Sequence[Method]) -> None:
        found = [route for method in methods for route in _routes(method)]
        found.reverse()
        self._routes = sorted(found, key=lambda route: -route.literal)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        if scope["method"] == "OPTIONS":
            await _send(send, HTTPStatus.NO_CONTENT, b"", PREFLIGHT)
            return
        try:
            request, method, height = await self._read(scope, receive)
            answer = await method.answer(request, height)
            headers = {} if answer.height is None else dict.fromkeys(HEIGHT_ANSWERED, str(answer.height))
            await _send(send, HTTPStatus.OK, orjson.dumps(document(answer.response)), headers)
        except Refusal as refusal:
            body = {"code": refusal.number, "message": refusal.message, "details": []}
            await _send(send, refusal.http_status, orjson.dumps(body), {})

    async def _read(self, scope: Scope, receive: Receive) -> tuple[Message, Method, int | None]:
        path = scope.get("raw_path", scope["path"].encode()).decode("ascii", "replace").partition("?")[0]
        for route in self._routes:
            match = route.pattern.fullmatch(path) if route.verb == scope["method"] else None
            if match is not None:
                break
        else:
            raise Refusal(StatusCode.UNIMPLEMENTED, f"there is no {scope['method']} {path[:200]} here")
        request = route.method.request()
        if route.takes_body:
            _parse_body(await _body(receive), request)
        else:
            _fill(request, parse_qsl(scope["query_string"].decode("ascii", "replace"), keep_blank_values=True))
        _fill(request, [(name, unquote(text)) for name, text in zip(route.fields, match.groups(), strict=True)])
        return request, route.method, _height(scope["headers"])


@dataclass(frozen=True)
class Binding:
    """One of a method's routes as its proto names it."""

    verb: str
    template: str
    takes_body: bool


def bindings(method: Method) -> list[Binding]:
    """The routes that a method's proto names."""
    options: Any = method.descriptor.GetOptions()
    rule = options.Extensions[annotations_pb2.http]
    return [
        Binding(verb.upper(), template, bool(each.body))
        for each in (rule, *rule.additional_bindings)
        for verb in ("get", "post")
        if (template := getattr(each, verb))
    ]


def _routes(method: Method) -> Iterable[Route]:
    return (_route(each.verb, each.template, each.takes_body, method) for each in bindings(method))


def _route(verb: str, template: str, takes_body: bool, method: Method) -> Route:
    pattern, last = "", 0
    for variable in _VARIABLE.finditer(template):
        pattern += re.escape(template[last : variable.start()])
        pattern += "(.+)" if variable[2] == "**" else "([^/]+)"
        last = variable.end()
    pattern += re.escape(template[last:])
    names = tuple(variable[1] for variable in _VARIABLE.finditer(template))
    return Route(verb, re.compile(pattern + "/?"), names, takes_body, method, len(_VARIABLE.sub("", template)))


def height_of(text: str) -> int:
    """The height that a client insists on. Raises Refusal."""
    if not _NUMBER.fullmatch(text):
        raise Refusal(StatusCode.INVALID_ARGUMENT, f"{HEIGHT_HEADER} must be a block's height")
    return int(text)


def _height(headers: Iterable[tuple[bytes, bytes]]) -> int | None:
    for name, value in headers:
        if name.lower() == HEIGHT_HEADER.encode():
            return height_of(value.decode("ascii", "replace"))
    return None


async def _body(receive: Receive) -> bytes:
    body, more = b"", True
    while more:
        part = await receive()
        body += part.get("body", b"")
        more = part.get("more_body", False)
        if len(body) > MAX_BODY_BYTES:
            raise Refusal(StatusCode.INVALID_ARGUMENT, f"a request's body has at most {MAX_BODY_BYTES} bytes")
    return body


def _parse_body(body: bytes, request: Message) -> None:
    try:
        read(body, request)
    except InvalidJson as error:
        raise Refusal(StatusCode.INVALID_ARGUMENT, str(error)) from error


def _fill(request: Message, fields: Sequence[tuple[str, str]]) -> None:
    """Set the fields that a path or a query string names, `pagination.limit` in the message `pagination`."""
    if len(fields) > MAX_QUERY_FIELDS:
        raise Refusal(StatusCode.INVALID_ARGUMENT, f"a query has at most {MAX_QUERY_FIELDS} fields")
    for name, text in fields:
        *outer, last = name.removesuffix("[]").split(".")
        target: Any = request
        for step in outer:
            field = _field(target.DESCRIPTOR, step)
            if field is None:
                break
            if field.message_type is None or field.label == FieldDescriptor.LABEL_REPEATED:
                raise Refusal(StatusCode.INVALID_ARGUMENT, f"the field {name[:80]!r} has no parts")
            target = getattr(target, field.name)
        else:
            _set(target, last, text, name)


def _set(target: Message, name: str, text: str, full_name: str) -> None:
    field = _field(target.DESCRIPTOR, name)
    if field is None:
        return
    if field.message_type is not None and field.message_type.full_name != "google.protobuf.Timestamp":
        raise Refusal(StatusCode.INVALID_ARGUMENT, f"the field {full_name[:80]!r} cannot be given in a query")
    value: Any = text
    if field.type == FieldDescriptor.TYPE_BOOL:
        value = {"true": True, "1": True, "": True, "false": False, "0": False}.get(text.lower(), text)
    elif field.type == FieldDescriptor.TYPE_BYTES:
        value = text.replace(" ", "+")  # a plus sign that was not percent-encoded
        if not _BASE64.fullmatch(value):
            raise Refusal(StatusCode.INVALID_ARGUMENT, f"{full_name}: {text[:80]!r} is not base64")
    elif field.type == FieldDescriptor.TYPE_ENUM and _NUMBER.fullmatch(text):
        value = int(text)
    try:
        json_format.ParseDict({field.name: [value] if field.label == FieldDescriptor.LABEL_REPEATED else value}, target)
    except json_format.ParseError as error:
        raise Refusal(StatusCode.INVALID_ARGUMENT, f"{full_name}: {str(error)[:300]}") from error


def _field(message: Any, name: str) -> Any:
    """The field's descriptor by either of its names, or None."""
    return message.fields_by_name.get(name) or message.fields_by_camelcase_name.get(name)


async def _send(send: Send, status: int, body: bytes, headers: Mapping[str, str]) -> None:
    listed = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        (b"access-control-allow-origin", b"*"),
        *((name.encode(), value.encode()) for name, value in headers.items()),
    ]
    await send({"type": "http.response.start", "status": status, "headers": listed})
    await send({"type": "http.response.body", "body": body})
