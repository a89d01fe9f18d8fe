"""The array ``models`` in which Ollama's servers list what they have, or what is loaded."""

from __future__ import annotations

from forebay.protocol.canonical.errors import ApiError, ApiFailure, ErrorKind
from forebay.protocol.jsontext import InvalidJson, JsonObject, loads


def read_models(body: bytes, what_it_is: str) -> list[JsonObject]:
    """Its entries, without what is no object.

    Args:
        what_it_is: what is said of an answer that has no such array.

    Raises:
        ApiFailure: UPSTREAM_ERROR, the body has none.
    """
    try:
        listing = loads(body)
    except InvalidJson as fault:
        raise _unreadable(what_it_is, str(fault)) from None
    if not isinstance(listing, dict) or "models" not in listing:
        raise _unreadable(what_it_is, "it has no 'models'")
    # Go writes an empty list as null.
    models = listing["models"] or []
    if not isinstance(models, list):
        raise _unreadable(what_it_is, "its 'models' is no array")
    return [model for model in models if isinstance(model, dict)]


def _unreadable(what_it_is: str, fault: str) -> ApiFailure:
    return ApiFailure(
        ApiError(
            kind=ErrorKind.UPSTREAM_ERROR,
            message=f"the upstream's answer {what_it_is}: {fault}",
        )
    )
