"""Lists and cards of models (``/api/tags``, ``/api/show``, ``/api/ps``), and what Ollama's clients
ask of the server itself (``/api/version``, ``/api/status``).

A model behind a gateway has no file, no size and no quantisation. Clients read the fields all the
same, so that each is there: empty or zero where nothing true can be said.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from hashlib import sha256

from forebay.protocol.canonical.listed_models import ListedModel
from forebay.protocol.dialects.base import ModelCard
from forebay.protocol.dialects.listings import EntryReader, listed_models, read_entry
from forebay.protocol.dialects.ollama._model_arrays import read_models
from forebay.protocol.dialects.ollama._reply_clock import rfc3339
from forebay.protocol.jsontext import JsonObject

_DEFAULT_TAG = "latest"
_ARCHITECTURE = "forebay"
_ASSUMED_CONTEXT_LENGTH = 32_768
"""Tokens, where no provider says how many a model takes. Editors cut their prompts to the length
that a card says, and where it says none to one of their own: VS Code to 4,096 tokens before it
took this number too, with which its agents can do nothing."""
_ID_FIELDS = ("model", "name")
_NEVER = "2318-01-01T00:00:00.000000Z"
"""When a model is unloaded that stays for ever; a few centuries ahead, as Ollama says it."""


def tagged(name: str) -> str:
    """The name with its tag; a name without one means ``:latest``."""
    return name if ":" in name.rpartition("/")[2] else f"{name}:{_DEFAULT_TAG}"


def matches(requested: str, public: str) -> bool:
    """Whether a client that asks for ``requested`` means the model ``public``: with or without
    ``:latest``, on either side."""
    return tagged(requested) == tagged(public)


def encode_model_list(models: Sequence[ModelCard]) -> JsonObject:
    """The answer of ``GET /api/tags``."""
    return {"models": [_listed(card) for card in models]}


def encode_running(models: Sequence[ModelCard]) -> JsonObject:
    """The answer of ``GET /api/ps``: what is served is always loaded, with as much context as its
    card says."""
    return {
        "models": [
            {
                **_identity(card),
                "expires_at": _NEVER,
                "size_vram": 0,
                "context_length": _context_length(card),
            }
            for card in models
        ]
    }


def encode_show(card: ModelCard) -> JsonObject:
    """The answer of ``POST /api/show``. Editors read ``capabilities`` and the context length, which
    is always said: 32,768 where it is not known."""
    return {
        "license": "",
        "modelfile": f"FROM {tagged(card.id)}\n",
        "parameters": "",
        "template": "{{ .Prompt }}",
        "details": _details(),
        "model_info": {
            "general.architecture": _ARCHITECTURE,
            "general.basename": card.id,
            f"{_ARCHITECTURE}.context_length": _context_length(card),
        },
        "capabilities": [*card.capabilities],
        "modified_at": _written_time(card.created),
    }


def encode_status() -> JsonObject:
    """The answer of ``GET /api/status``: nothing here is of Ollama's own cloud."""
    return {"cloud": {"disabled": True, "source": "config"}}


def encode_version(version: str) -> JsonObject:
    """The answer of ``GET /api/version``: the version of Ollama whose API is spoken."""
    return {"version": version}


def decode_model_list(body: bytes, read: EntryReader = read_entry) -> tuple[ListedModel, ...]:
    """The models in an answer of ``GET /api/tags``.

    Raises:
        ApiFailure: UPSTREAM_ERROR, the body is no such listing.
    """
    entries = read_models(body, "is no list of models")
    return listed_models(entries, id_fields=_ID_FIELDS, read=read)


_written_time = lru_cache(maxsize=4)(rfc3339)
"""Kept, since thousands of models of one list have the same."""


def _listed(card: ModelCard) -> JsonObject:
    listed = _identity(card)
    details = listed["details"]
    if isinstance(details, dict) and card.context_length is not None:
        details["context_length"] = card.context_length
    listed["modified_at"] = _written_time(card.created)
    listed["capabilities"] = [*card.capabilities]
    return listed


def _identity(card: ModelCard) -> JsonObject:
    name = tagged(card.id)
    return {
        "name": name,
        "model": name,
        "size": 0,
        "digest": sha256(card.id.encode()).hexdigest(),
        "details": _details(),
    }


def _details() -> JsonObject:
    return {
        "parent_model": "",
        "format": "",
        "family": _ARCHITECTURE,
        "families": [_ARCHITECTURE],
        "parameter_size": "",
        "quantization_level": "",
    }


def _context_length(card: ModelCard) -> int:
    return card.context_length or _ASSUMED_CONTEXT_LENGTH
