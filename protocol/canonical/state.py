"""Requests that rely on what only one server knows."""

from __future__ import annotations

from forebay.protocol.canonical.errors import ApiFailure, bad_request
from forebay.protocol.canonical.requests import ChatRequest

_MEND = "send the whole conversation in 'input' instead"


def refuse_missing_state(request: ChatRequest) -> None:
    """To be called before a request is written for a server that keeps nothing: leaving out what
    a request relies on would answer another conversation than the one that was meant.

    Raises:
        ApiFailure: BAD_REQUEST that names the field. Not for what the gateway keeps itself.
    """
    state = request.state
    if state is None:
        return
    if state.prompt_id is not None:
        raise _unsupported_field(
            "prompt", "this model's provider keeps no prompts: write it out in 'instructions'"
        )
    if state.conversation_id is not None:
        raise _unsupported_field(
            "conversation", f"this model's provider keeps no conversations: {_MEND}"
        )
    if state.kept_here:
        return
    if state.previous_response_id is not None:
        raise previous_response_not_found(state.previous_response_id)
    if state.item_ids:
        raise item_not_found(state.item_ids[0])
    if state.background:
        raise _unsupported_field(
            "background", "this model's provider answers at once only: leave it out"
        )


def previous_response_not_found(response_id: str) -> ApiFailure:
    return bad_request(
        f"Previous response with id '{response_id}' not found: {_MEND}",
        param="previous_response_id",
        code="previous_response_not_found",
    )


def item_not_found(item_id: str) -> ApiFailure:
    return bad_request(
        f"Item with id '{item_id}' not found: send the item itself instead of a reference",
        param="input",
        code="item_not_found",
    )


def _unsupported_field(name: str, why: str) -> ApiFailure:
    return bad_request(
        f"'{name}' can't be used with this model: {why}", param=name, code="unsupported_parameter"
    )
