"""What the public port refuses, as OpenAI error objects: `{"error": {"message", "type", "param", "code"}}`.

ApiError
├── BadRequest 400
│   ├── MalformedBody            not JSON, or a field of the wrong kind
│   ├── OutsideTimeWindow        the time stamp is too old or in the future
│   └── SignatureReused          the signature has been used here before
├── Unauthorized 401
├── InsufficientBalance 402
│   └── BudgetSpent              of an API key
├── Forbidden 403                an executor request that is not for this host
│   └── NotPermitted             who asks may not, whoever else may
├── NotFound 404
│   ├── UnknownModel
│   └── WrongEndpoint            the model is asked elsewhere
├── Conflict 409                 something of this host is taken already
├── BodyTooLarge 413
├── TooManyRequests 429          with Retry-After
└── Unavailable 503              with Retry-After: nobody can answer now
"""

from typing import Any, ClassVar

import orjson

RETRY_AFTER_SECONDS = 2


class ApiError(Exception):
    """A refusal with its HTTP status. Anything outside this tree that reaches the port is a bug and becomes a bare 500."""

    status: ClassVar[int] = 500
    type: ClassVar[str] = "server_error"
    code: ClassVar[str | None] = None
    retry_after_s: int | None = None

    def __init__(self, message: str, *, param: str | None = None, retry_after_s: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        if retry_after_s is not None:
            self.retry_after_s = retry_after_s

    def body(self) -> bytes:
        """The error object as JSON."""
        return orjson.dumps(error_object(self.message, self.type, self.param, self.code))


class BadRequest(ApiError):
    """The request cannot be understood or carried out as it is."""

    status = 400
    type = "invalid_request_error"


class MalformedBody(BadRequest):
    """The body is no JSON object, or one of its fields is of the wrong kind."""

    code = "invalid_body"


class OutsideTimeWindow(BadRequest):
    """The time stamp is not within the chain's window around the latest block's time."""

    code = "timestamp_outside_window"


class SignatureReused(BadRequest):
    """A signature serves once."""

    code = "signature_reused"


class Unauthorized(ApiError):
    """No credentials, or wrong ones."""

    status = 401
    type = "authentication_error"
    code = "invalid_credentials"


class InsufficientBalance(ApiError):
    """The account that would pay holds less than the request may cost."""

    status = 402
    type = "insufficient_quota"
    code = "insufficient_balance"


class BudgetSpent(InsufficientBalance):
    """The API key's budget has less left than the request may cost."""

    code = "budget_spent"


class Forbidden(ApiError):
    """A request between hosts that this host must not carry out."""

    status = 403
    type = "permission_error"
    code = "not_the_executor"


class NotPermitted(Forbidden):
    """Somebody has proved who it is, and may not do this."""

    code = "not_permitted"


class NotFound(ApiError):
    """There is no such thing."""

    status = 404
    type = "invalid_request_error"
    code = "not_found"


class UnknownModel(NotFound):
    """The network knows no such model."""

    code = "model_not_found"


class WrongEndpoint(NotFound):
    """The network knows the model, and it offers something else."""

    code = "wrong_endpoint"


class Conflict(ApiError):
    """Something of this host is taken already, or does something else now."""

    status = 409
    type = "invalid_request_error"
    code = "conflict"


class BodyTooLarge(ApiError):
    """The body is above the configured limit."""

    status = 413
    type = "invalid_request_error"
    code = "body_too_large"


class TooManyRequests(ApiError):
    """As many requests as this node may carry out are under way."""

    status = 429
    type = "rate_limit_error"
    code = "too_many_requests"
    retry_after_s = RETRY_AFTER_SECONDS


class Unavailable(ApiError):
    """Nobody can answer now; later somebody may."""

    status = 503
    type = "service_unavailable"
    code = "unavailable"
    retry_after_s = RETRY_AFTER_SECONDS


def error_object(message: str, kind: str, param: str | None = None, code: str | None = None) -> dict[str, Any]:
    """An OpenAI error object."""
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


def error_headers(error: ApiError) -> list[tuple[bytes, bytes]]:
    """Headers of an answer that is this error."""
    headers = [(b"content-type", b"application/json")]
    if error.retry_after_s is not None:
        headers.append((b"retry-after", str(error.retry_after_s).encode()))
    return headers
