"""What can be asked about a response by its id."""

from __future__ import annotations

from typing import Final
from urllib.parse import parse_qs

from forebay.endpoints.sandbox._call import Identity
from forebay.endpoints.sandbox._failures import Failure, FailureKind, Refused
from forebay.endpoints.sandbox._http import Piece, Request
from forebay.endpoints.sandbox._openai_fields import bad, refused
from forebay.endpoints.sandbox._responses_kept import KeptResponse, KeptResponses
from forebay.endpoints.sandbox._responses_reading import check_includable
from forebay.protocol.jsontext import JsonObject, JsonValue

_ROOT: Final = "/v1/responses/"
_METHODS: Final = {
    "": ("GET", "HEAD", "DELETE"),
    "input_items": ("GET", "HEAD"),
    "cancel": ("POST",),
}


def is_about_a_response(path: str) -> bool:
    """Whether there is a page of :func:`response_page` at this path."""
    return path.startswith(_ROOT) and path.removeprefix(_ROOT).partition("/")[2] in _METHODS


def response_page(
    request: Request, kept: KeptResponses, identity: Identity
) -> JsonObject | list[Piece]:
    """What is there: JSON, or the events of a stream.

    Raises:
        Refused: no such response, or none of which this can be asked.
    """
    wanted, _, what = request.path.removeprefix(_ROOT).partition("/")
    if request.method not in _METHODS[what]:
        message = f"Not allowed to {request.method} on {request.path}."
        raise Refused(Failure(FailureKind.WRONG_METHOD, message))
    response = kept.find(wanted)
    if response is None:
        raise Refused(Failure(FailureKind.NO_RESPONSE, f"Response with id '{wanted}' not found."))
    query = parse_qs(request.query)
    if what == "cancel":
        return _cancelled(response, identity)
    check_includable([*query.get("include", []), *query.get("include[]", [])], "include")
    if what == "input_items":
        return _items(response, query)
    if request.method == "DELETE":
        kept.forget(wanted)
        return {"id": wanted, "object": "response", "deleted": True}
    if query.get("stream", ["false"])[-1] == "true":
        return _resumed(response, query, identity)
    return response.shown(identity.wall)


def _cancelled(response: KeptResponse, identity: Identity) -> JsonObject:
    if not response.call.in_background:
        raise Refused(Failure(FailureKind.BAD_VALUE, "Cannot cancel a synchronous response."))
    response.cancel(identity.wall)
    return response.shown(identity.wall)


def _resumed(
    response: KeptResponse, query: dict[str, list[str]], identity: Identity
) -> list[Piece]:
    if not (response.call.in_background and response.call.stream):
        raise refused(
            FailureKind.BAD_VALUE,
            "This response can't be streamed: it was not created with background=true and "
            "stream=true.",
            "stream",
        )
    after = query.get("starting_after", ["-1"])[-1]
    if not after.removeprefix("-").isdecimal():
        raise bad("starting_after", "expected an integer.")
    return response.events_after(int(after), identity.wall)


def _items(response: KeptResponse, query: dict[str, list[str]]) -> JsonObject:
    items = list(response.call.input_items)
    if query.get("order", ["desc"])[-1] == "desc":
        items.reverse()
    ids = [item["id"] for item in items]
    after = query.get("after", [""])[-1]
    if after in ids:
        items = items[ids.index(after) + 1 :]
    limit = int(query.get("limit", ["20"])[-1])
    data: list[JsonValue] = [*items[:limit]]
    return {
        "object": "list",
        "data": data,
        "first_id": items[0]["id"] if items else None,
        "last_id": items[:limit][-1]["id"] if items else None,
        "has_more": len(items) > limit,
    }
