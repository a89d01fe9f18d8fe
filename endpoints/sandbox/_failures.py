"""What the sandbox refuses, before a dialect has worded it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto

from forebay.endpoints.sandbox._limits import LimitScope


class FailureKind(Enum):
    """Decides status, type and code in each dialect."""

    BAD_JSON = auto()
    MISSING_FIELD = auto()
    WRONG_TYPE = auto()
    BAD_VALUE = auto()
    UNSUPPORTED = auto()
    """A field or feature that the model does not have."""
    CONTEXT = auto()
    """The prompt is longer than the model's context."""
    UNAUTHORIZED = auto()
    NO_CREDIT = auto()
    """The account has no money left (402)."""
    QUOTA = auto()
    """A quota that no waiting cures."""
    NO_MODEL = auto()
    NO_PATH = auto()
    NO_RESPONSE = auto()
    """No answer of this id is kept."""
    WRONG_METHOD = auto()
    TOO_LARGE = auto()
    RATE_LIMITED = auto()
    UNAVAILABLE = auto()
    """503."""
    OVERLOADED = auto()
    """529."""
    SERVER_ERROR = auto()


@dataclass(frozen=True, slots=True)
class Failure:
    """One refusal. An empty message leaves the wording to the dialect."""

    kind: FailureKind
    message: str = ""
    param: str | None = None
    """The field at fault, as the dialect writes paths."""
    code: str | None = None
    """A more telling code than the kind's own, where the dialect has codes."""
    scope: LimitScope | None = None
    retry_after: float | None = None
    """Seconds to name in a ``retry-after`` header; None: no such header."""
    shows_limits: bool = False
    """The answer carries the rate-limit headers."""


class Refused(Exception):
    """Carries a failure up to where it becomes a reply."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure
