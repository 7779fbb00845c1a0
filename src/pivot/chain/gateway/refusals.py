"""How the gateway refuses: the codes of gRPC, and the HTTP statuses that the REST side gives for them.

A handler's `Rejection` (an ABCI code) becomes the gRPC code that the Cosmos SDK gives; everything else a handler raises is
a bug of ours, told to the client as an internal error without its text.
"""

from http import HTTPStatus

from grpc import StatusCode

from pivot.chain.errors import Rejection, SdkCode, SdkError, tells_absence


class Refusal(Exception):
    """A request that gets no answer; `message` is a sentence for the client."""

    def __init__(self, code: StatusCode, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message

    @property
    def number(self) -> int:
        """The published number of the gRPC code."""
        return number_of(self.code)

    @property
    def http_status(self) -> int:
        """The HTTP status of the gRPC code."""
        return _HTTP.get(self.code, HTTPStatus.INTERNAL_SERVER_ERROR)


def refused(rejection: Rejection) -> Refusal:
    """What a client is told of a query that a handler has refused."""
    if tells_absence(rejection):
        return Refusal(StatusCode.NOT_FOUND, rejection.log)
    code = _SDK.get(rejection.code) if isinstance(rejection, SdkError) else None
    return Refusal(code or StatusCode.INVALID_ARGUMENT, rejection.log)


def number_of(code: StatusCode) -> int:
    """The published number of a gRPC code."""
    number: int = code.value[0]
    return number


_SDK: dict[int, StatusCode] = {
    SdkCode.UNAUTHORIZED: StatusCode.PERMISSION_DENIED,
    SdkCode.UNKNOWN_REQUEST: StatusCode.UNIMPLEMENTED,
}

_HTTP: dict[StatusCode, int] = {
    StatusCode.INVALID_ARGUMENT: HTTPStatus.BAD_REQUEST,
    StatusCode.FAILED_PRECONDITION: HTTPStatus.BAD_REQUEST,
    StatusCode.OUT_OF_RANGE: HTTPStatus.BAD_REQUEST,
    StatusCode.UNAUTHENTICATED: HTTPStatus.UNAUTHORIZED,
    StatusCode.PERMISSION_DENIED: HTTPStatus.FORBIDDEN,
    StatusCode.NOT_FOUND: HTTPStatus.NOT_FOUND,
    StatusCode.ALREADY_EXISTS: HTTPStatus.CONFLICT,
    StatusCode.ABORTED: HTTPStatus.CONFLICT,
    StatusCode.RESOURCE_EXHAUSTED: HTTPStatus.TOO_MANY_REQUESTS,
    StatusCode.UNIMPLEMENTED: HTTPStatus.NOT_IMPLEMENTED,
    StatusCode.UNAVAILABLE: HTTPStatus.SERVICE_UNAVAILABLE,
    StatusCode.DEADLINE_EXCEEDED: HTTPStatus.GATEWAY_TIMEOUT,
}
