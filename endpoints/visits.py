"""What a Quart route knows of the request that it answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from quart import Response, request

from forebay.actors.gateway.jobs import ANONYMOUS, Client
from forebay.endpoints.heads import RequestHead
from forebay.protocol.jsontext import JsonObject, dumps

VISIT = "forebay.visit"
"""Key in the ASGI scope."""


@dataclass(frozen=True, slots=True)
class Visit:
    """A request that was let in."""

    head: RequestHead
    known_client: Client | None
    """None on the paths that ask for no key."""
    request_id: str

    @property
    def client(self) -> Client:
        return self.known_client or ANONYMOUS

    def response(
        self, body: bytes, status: int, content_type: str, headers: Mapping[str, str]
    ) -> Response:
        return Response(
            body,
            status=status,
            content_type=content_type,
            headers={
                "x-request-id": self.request_id,
                "request-id": self.request_id,
                **headers,
            },
        )

    def json(self, body: JsonObject, status: int = 200) -> Response:
        return self.response(dumps(body), status, "application/json", {})


def visit() -> Visit:
    """The request being answered."""
    scope = cast("dict[str, Any]", request.scope)
    found = scope[VISIT]
    assert isinstance(found, Visit)
    return found
