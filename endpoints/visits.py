"""What a Quart route knows of the request that it answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import trio
from quart import Response, request

from forebay.actors.jobs.job import ANONYMOUS, Client
from forebay.endpoints.heads import RequestHead
from forebay.endpoints.own_headers import own_headers
from forebay.endpoints.routes import dialect_of
from forebay.protocol.dialects.registry import SPEECH
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
    began: float = field(default_factory=trio.current_time)
    """On trio's clock."""

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
                **own_headers(
                    dialect_of(self.head), self.request_id, trio.current_time() - self.began
                ),
                **headers,
            },
        )

    def json(self, body: JsonObject, status: int = 200) -> Response:
        speech = SPEECH[dialect_of(self.head)]
        return self.response(dumps(body), status, speech.json_content_type, {})


def visit() -> Visit:
    """The request being answered."""
    scope = cast("dict[str, Any]", request.scope)
    found = scope[VISIT]
    assert isinstance(found, Visit)
    return found
