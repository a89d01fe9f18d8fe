"""What the sandbox needs from each wire API that it imitates."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Protocol

from forebay.endpoints.sandbox._call import Answer, Call, Identity
from forebay.endpoints.sandbox._failures import Failure, FailureKind, Refused
from forebay.endpoints.sandbox._fields import FieldFault, Fields
from forebay.endpoints.sandbox._http import Header, Piece, Request
from forebay.endpoints.sandbox._options import SandboxModel
from forebay.protocol.jsontext import InvalidJson, JsonObject, dumps, loads_object

Models = Mapping[str, SandboxModel]


class Dialect(Protocol):
    """One wire API: reads calls, writes answers and errors."""

    name: str
    stream_type: bytes
    """Content type of a stream."""
    json_type: bytes
    """Content type of everything else."""
    garbage_frame: bytes
    """A frame of a stream that is no JSON."""

    def read_call(self, fields: Fields, request: Request, models: Models) -> Call:
        """Check a request as the provider would.

        Raises:
            Refused: with the provider's own wording.
            FieldFault: a field is missing or of the wrong type; see :meth:`field_failure`.
        """

    def whole(self, call: Call, answers: list[Answer], identity: Identity) -> JsonObject:
        """The body of an answer that is not streamed."""

    def pieces(self, call: Call, answers: list[Answer], identity: Identity) -> list[Piece]:
        """The frames of a streamed answer."""

    def field_failure(self, fault: FieldFault) -> Failure:
        """Word a missing or mistyped field."""

    def failure(self, failure: Failure, identity: Identity) -> tuple[int, JsonObject]:
        """Status and body of an error answer."""

    def failure_frame(self, failure: Failure, identity: Identity) -> bytes:
        """An error inside a stream."""

    def headers(self, identity: Identity) -> list[Header]:
        """Headers of every answer, with the provider's request id."""

    def json(self, body: JsonObject) -> bytes:
        """The body of an answer, as the provider's server writes JSON."""


class NeverStreams(ABC):
    """The part of a dialect that never streams an answer."""

    stream_type = b"application/json"
    garbage_frame = b"<<garbage>>"

    @abstractmethod
    def whole(self, call: Call, answers: list[Answer], identity: Identity) -> JsonObject:
        """See :meth:`Dialect.whole`."""

    def pieces(self, call: Call, answers: list[Answer], identity: Identity) -> list[Piece]:
        """All of it in one piece."""
        return [Piece(dumps(self.whole(call, answers, identity)))]


def read_object(request: Request) -> Fields:
    """The body of a request as a JSON object.

    Raises:
        Refused: it is none.
    """
    try:
        return Fields(loads_object(request.body))
    except InvalidJson as fault:
        raise Refused(Failure(FailureKind.BAD_JSON, str(fault))) from None
