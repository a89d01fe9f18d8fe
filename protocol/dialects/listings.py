"""Listings of models, as servers of every dialect write them: what is alike in all of them.

A listing is an array of entries; an entry is an object or a bare name. How many tokens a model
takes stands under a different name at every server, and is left out by many.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from forebay.protocol.jsontext import JsonObject, JsonValue

_LENGTH_FIELDS = (
    "max_model_len",  # vLLM, SGLang: what the server was started with
    "loaded_context_length",  # LM Studio
    "context_length",  # OpenRouter, Together, Fireworks, Forebay itself
    "context_window",  # Groq
    "max_context_length",  # Mistral; LM Studio's model that is not loaded
    "max_input_tokens",  # Anthropic
)
_LENGTH_FIELDS_INSIDE = (
    ("meta", ("n_ctx", "n_ctx_train")),  # llama.cpp: as started, and as trained
    ("details", ("context_length",)),  # Ollama
    ("metadata", ("context_length",)),  # DeepInfra
)
_LARGEST_LENGTH = 1_000_000_000


@dataclass(frozen=True, slots=True)
class ListedModel:
    """One model, as a provider lists it."""

    id: str
    context_length: int | None = None
    """Tokens of prompt and answer together; None where the provider does not say."""


def listed_models(
    entries: Sequence[JsonValue], *, id_fields: Sequence[str]
) -> tuple[ListedModel, ...]:
    """The models of a listing's entries in their order, each once; entries without a name are
    left out.

    Args:
        id_fields: Where an entry's name stands, the best one first.
    """
    models: dict[str, ListedModel] = {}
    for entry in entries:
        name = _name_of(entry, id_fields)
        if name and name not in models:
            length = context_length_of(entry) if isinstance(entry, dict) else None
            models[name] = ListedModel(name, length)
    return tuple(models.values())


def _name_of(entry: JsonValue, id_fields: Sequence[str]) -> str:
    if isinstance(entry, str):
        return entry
    if isinstance(entry, dict):
        for field in id_fields:
            name = entry.get(field)
            if isinstance(name, str) and name:
                return name
    return ""


def context_length_of(entry: JsonObject) -> int | None:
    """How many tokens an entry says that its model takes.

    Where one model has several providers behind it (Hugging Face's router), the least that one of
    them takes: nobody says which will serve a request.
    """
    said = next(_lengths_of(entry), None)
    if said is not None:
        return said
    providers = entry.get("providers")
    lengths = [
        length
        for provider in (providers if isinstance(providers, list) else [])
        if isinstance(provider, dict)
        and provider.get("status") in (None, "live")
        and (length := _length(provider.get("context_length"))) is not None
    ]
    return min(lengths, default=None)


def _lengths_of(entry: JsonObject) -> Iterator[int]:
    for field in _LENGTH_FIELDS:
        if (length := _length(entry.get(field))) is not None:
            yield length
    for name, fields in _LENGTH_FIELDS_INSIDE:
        inside = entry.get(name)
        if isinstance(inside, dict):
            for field in fields:
                if (length := _length(inside.get(field))) is not None:
                    yield length


def _length(value: JsonValue) -> int | None:
    """A plausible number of tokens. Servers write 0 or null for what they do not know."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return int(value) if 1 <= value <= _LARGEST_LENGTH else None
