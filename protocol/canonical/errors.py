"""Errors as the gateway knows them, before any dialect has spoken them.

An :class:`ApiError` is a value: what went wrong, which request field is at fault, and when trying
again makes sense. Each dialect renders it in its own shape; :class:`ApiFailure` carries it up a
call stack.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class ErrorKind(StrEnum):
    """What a client can do about it decides the kind; each dialect maps it to its own status."""

    BAD_REQUEST = "bad_request"
    CONTEXT_OVERFLOW = "context_overflow"
    UNAUTHENTICATED = "unauthenticated"
    """The key of the client is missing or unknown to the gateway."""
    PAYMENT_REQUIRED = "payment_required"
    """The client's own budget at the gateway is spent."""
    FORBIDDEN = "forbidden"
    PATH_NOT_FOUND = "path_not_found"
    MODEL_NOT_FOUND = "model_not_found"
    METHOD_NOT_ALLOWED = "method_not_allowed"
    REQUEST_TIMEOUT = "request_timeout"
    """The client did not finish sending its request."""
    TOO_LARGE = "too_large"
    UNSUPPORTED_MEDIA_TYPE = "unsupported_media_type"
    RATE_LIMITED = "rate_limited"
    """Only ever after ``max_wait``: the job could not start in the time it was given."""
    UNAVAILABLE = "unavailable"
    """Every target is taken out, or the gateway is shutting down."""
    UPSTREAM_TIMEOUT = "upstream_timeout"
    UPSTREAM_ERROR = "upstream_error"
    """The provider failed, or answered something that is not its protocol."""
    INTERNAL = "internal"


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiError:
    """One error, ready to be spoken in any dialect."""

    kind: ErrorKind
    message: str
    param: str | None = None
    """The request field at fault, as the client wrote it: ``messages[0].role``."""
    code: str | None = None
    """A machine-readable code, where the source of the error had one."""
    retry_after: float | None = None
    """Seconds until trying again makes sense. Only with RATE_LIMITED and UNAVAILABLE."""


class ApiFailure(Exception):
    """Carries an :class:`ApiError` to where it is spoken."""

    def __init__(self, error: ApiError) -> None:
        super().__init__(error.message)
        self.error = error


def model_not_found(name: str, why: str = " not found") -> ApiFailure:
    """A failure for a name that stands for no model.

    Args:
        name: as the client wrote it.
        why: what is said after the name.
    """
    return ApiFailure(
        ApiError(
            kind=ErrorKind.MODEL_NOT_FOUND,
            message=f"model '{name}'{why}",
            param="model",
            code="model_not_found",
        )
    )


def bad_request(message: str, *, param: str | None = None, code: str | None = None) -> ApiFailure:
    """A failure for a request that can't be served as it is; ``message`` names the mend."""
    return ApiFailure(ApiError(kind=ErrorKind.BAD_REQUEST, message=message, param=param, code=code))
