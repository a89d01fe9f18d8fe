"""Conversations that go on from an answer that was kept: pure functions, no store.

Whoever keeps answers keeps a :class:`KeptResponse` of each; a request that names it in
``previous_response_id`` is made whole from it, so that any provider can serve it. Instructions are
not carried over, all items are, under the ids that the client knows.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from forebay.protocol.canonical.errors import ApiFailure, bad_request
from forebay.protocol.canonical.requests import ChatRequest
from forebay.protocol.canonical.state import item_not_found
from forebay.protocol.dialects.fields import as_object, wrong_type
from forebay.protocol.dialects.openai.responses._answer_items import without_secret
from forebay.protocol.dialects.openai.responses._items import input_of_one_string
from forebay.protocol.dialects.openai.responses._names import own_item_id
from forebay.protocol.dialects.openai.responses._request_decoding import ENCRYPTED_REASONING
from forebay.protocol.jsontext import JsonObject, JsonValue

_DEFAULT_LIMIT = 20
_LARGEST_LIMIT = 100
_INCLUDABLE = (
    "file_search_call.results",
    "web_search_call.results",
    "web_search_call.action.sources",
    "message.input_image.image_url",
    "computer_call_output.output.image_url",
    "code_interpreter_call.outputs",
    "reasoning.encrypted_content",
    "message.output_text.logprobs",
)
_NUMBER = re.compile(r"[0-9]{1,3}")
_ID_PREFIXES = {
    "message": "msg",
    "function_call": "fc",
    "function_call_output": "fco",
    "custom_tool_call": "ctc",
    "custom_tool_call_output": "ctco",
    "reasoning": "rs",
}
_OTHER_PREFIX = "item"
_WITH_STATUS = frozenset(
    {
        "message",
        "function_call",
        "function_call_output",
        "custom_tool_call",
        "custom_tool_call_output",
    }
)


@dataclass(frozen=True, slots=True)
class KeptResponse:
    """What must be kept of an answer so that a conversation can go on from it."""

    response_id: str
    input_items: tuple[JsonObject, ...]
    """The full input, earlier answers included; each with an id."""
    output_items: tuple[JsonObject, ...]
    """With all that the next turn needs (``kept_output``)."""


def named_items(items: JsonValue, response_id: str) -> tuple[JsonObject, ...]:
    """The items of ``input`` in the form in which they are listed: typed, with ids and content
    parts.

    Args:
        items: A string, or a list of items that a codec has found to be well-formed.
        response_id: Hex digits, as of ``ReplyContext.response_id``; makes new ids unique.

    Raises:
        ApiFailure: BAD_REQUEST, it is neither.
    """
    if items is None:
        return ()
    one = input_of_one_string(items)
    if one is not None:
        items = [one]
    if not isinstance(items, list):
        raise wrong_type("input", "a string or an array of items", items)
    return tuple(
        _named(as_object(item, f"input[{at}]"), response_id, at) for at, item in enumerate(items)
    )


def _named(item: JsonObject, response_id: str, position: int) -> JsonObject:
    kind = item.get("type") or "message"
    assert isinstance(kind, str)
    named: JsonObject = {**item, "type": kind}
    if not isinstance(item.get("id"), str) or not item["id"]:
        prefix = _ID_PREFIXES.get(kind, _OTHER_PREFIX)
        # Counted apart from the items of the answer.
        named["id"] = own_item_id(prefix, f"{response_id}i", position)
    if kind in _WITH_STATUS:
        named.setdefault("status", "completed")
    if kind == "message" and isinstance(item.get("content"), str):
        by_model = item.get("role") == "assistant"
        part: JsonObject = {
            "type": "output_text" if by_model else "input_text",
            "text": item["content"],
        }
        if by_model:
            part["annotations"] = []
        named["content"] = [part]
    return named


def continued_input(
    body: JsonObject,
    earlier: KeptResponse | None,
    response_id: str,
    *,
    find: Callable[[str], JsonObject | None] = lambda _: None,
) -> tuple[JsonObject, ...]:
    """The full input of a request: what ``earlier`` holds, then its own items. A reference stands
    for the item that it names, and for nothing where that is in ``earlier`` anyway.

    Args:
        body: The request.
        earlier: Of the response that ``previous_response_id`` names; None where it names none.
        response_id: As of :func:`named_items`.
        find: Gives the item with this id, of all that are kept for the client.

    Raises:
        ApiFailure: BAD_REQUEST, a reference names an item that is not kept.
    """
    full = [] if earlier is None else [*earlier.input_items, *earlier.output_items]
    known = {item.get("id") for item in full}
    for item in named_items(body.get("input"), response_id):
        if item["type"] != "item_reference":
            full.append(item)
            continue
        item_id = str(item["id"])
        if item_id in known:
            continue
        referred = find(item_id)
        if referred is None:
            raise item_not_found(item_id)
        known.add(item_id)
        full.append(referred)
    return tuple(full)


def continued_body(body: JsonObject, full_input: Sequence[JsonObject]) -> JsonObject:
    """The request with its full input, as any provider can serve it at once. The ``ChatRequest``
    of it is to be completed by :func:`kept_here`."""
    left_out = ("previous_response_id", "background", "background_options")
    whole = {name: value for name, value in body.items() if name not in left_out}
    whole["input"] = [*full_input]
    return whole


def kept_here(request: ChatRequest, original: ChatRequest) -> ChatRequest:
    """``request``, decoded from a :func:`continued_body`, as the answer to it must echo it, and
    marked as relying on nobody but this gateway.

    Args:
        original: The request as the client wrote it, decoded.
    """
    state = original.state
    if state is None:
        return request
    return replace(request, state=replace(state, item_ids=(), kept_here=True))


# Showing


def encode_not_found(response_id: str) -> JsonObject:
    """The body of the 404 for an answer that is not kept."""
    return {
        "error": {
            "message": f"Response with id '{response_id}' not found.",
            "type": "invalid_request_error",
            "param": None,
            "code": None,
        }
    }


def encode_deleted(response_id: str) -> JsonObject:
    """The answer to ``DELETE /v1/responses/{id}``."""
    return {"id": response_id, "object": "response", "deleted": True}


def not_cancellable() -> ApiFailure:
    """For ``POST /v1/responses/{id}/cancel``: every answer that is kept has ended."""
    return bad_request("Cannot cancel a synchronous response.")


def not_streamable() -> ApiFailure:
    """For ``GET /v1/responses/{id}?stream=true``."""
    return bad_request(
        "'stream' can't be used here: only a response that was created with 'background' can be "
        "streamed again; leave it out",
        param="stream",
        code="unsupported_parameter",
    )


def read_include(values: Sequence[str]) -> Sequence[str]:
    """``include`` of the query of ``GET /v1/responses/{id}`` and its ``input_items``.

    Raises:
        ApiFailure: BAD_REQUEST, one of ``values`` is nothing that this API knows.
    """
    for value in values:
        if value not in _INCLUDABLE:
            known = ", ".join(f"'{each}'" for each in _INCLUDABLE)
            raise bad_request(
                f"'include' can't be '{value[:80]}': it may be {known}",
                param="include",
                code="invalid_value",
            )
    return values


def shown_response(
    response: JsonObject, output: Iterable[JsonObject], include: Sequence[str]
) -> JsonObject:
    """A kept answer with what its client asks to see besides. What was seen when it was made is
    seen anyway; of the rest the secrets of reasoning are all that is kept.

    Args:
        output: Its items, as they are kept.
    """
    if ENCRYPTED_REASONING not in include:
        return response
    return {**response, "output": [*output]}


def shown_items(items: Iterable[JsonObject], include: Sequence[str]) -> list[JsonObject]:
    """Kept items as their client may see them.

    Args:
        include: What it asks to see besides (``include`` of the query).
    """
    if ENCRYPTED_REASONING in include:
        return list(items)
    shown = map(without_secret, items)
    return [item for item in shown if item is not None]


# Listing


class ItemOrder(StrEnum):
    ASCENDING = "asc"
    DESCENDING = "desc"


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemQuery:
    """Which items of a list are wanted."""

    limit: int = _DEFAULT_LIMIT
    order: ItemOrder = ItemOrder.DESCENDING
    after: str | None = None
    """The id of the last item that the client has."""


def read_item_query(parameters: Mapping[str, str]) -> ItemQuery:
    """The query of ``GET /v1/responses/{id}/input_items``.

    Raises:
        ApiFailure: BAD_REQUEST that names the parameter.
    """
    limit = parameters.get("limit", str(_DEFAULT_LIMIT))
    if not _NUMBER.fullmatch(limit) or not 1 <= int(limit) <= _LARGEST_LIMIT:
        raise bad_request(
            f"'limit' must be a number from 1 to {_LARGEST_LIMIT}",
            param="limit",
            code="invalid_value",
        )
    order = parameters.get("order", ItemOrder.DESCENDING.value)
    if order not in tuple(ItemOrder):
        raise bad_request("'order' must be 'asc' or 'desc'", param="order", code="invalid_value")
    return ItemQuery(
        limit=int(limit), order=ItemOrder(order), after=parameters.get("after") or None
    )


def list_items(items: Iterable[JsonObject], query: ItemQuery) -> JsonObject:
    """One page of items, in the form of ``GET /v1/responses/{id}/input_items``.

    Raises:
        ApiFailure: BAD_REQUEST, ``after`` names none of the items.
    """
    ordered = list(items)
    if query.order is ItemOrder.DESCENDING:
        ordered.reverse()
    if query.after is not None:
        ids = [item.get("id") for item in ordered]
        if query.after not in ids:
            raise bad_request(
                f"'after' names the item '{query.after}', which is not in this list: use an id "
                "that this list has given out",
                param="after",
                code="invalid_value",
            )
        ordered = ordered[ids.index(query.after) + 1 :]
    page = ordered[: query.limit]
    return {
        "object": "list",
        "data": [*page],
        "first_id": page[0].get("id") if page else None,
        "last_id": page[-1].get("id") if page else None,
        "has_more": len(ordered) > len(page),
    }
