"""Listings of models, as servers of every dialect write them: what is alike in all of them.

A listing is an array of entries; an entry is an object or a bare name. How many tokens a model
takes stands under a different name at every server, and is left out by many. What it costs and what
it can do: :mod:`~forebay.protocol.dialects.listed_prices` and
:mod:`~forebay.protocol.dialects.listed_capabilities`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import date
from typing import TypeAlias

from forebay.protocol.canonical.listed_models import ListedModel
from forebay.protocol.dialects.listed_capabilities import capabilities_of
from forebay.protocol.dialects.listed_prices import live_providers, prices_of
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
_OUTPUT_FIELDS = (
    "max_completion_tokens",  # Groq; OpenRouter, inside
    "max_output_tokens",
    "max_tokens",  # Anthropic; DeepInfra, inside
)
_OUTPUT_HOLDERS = ("top_provider", "metadata")
_LARGEST_LENGTH = 1_000_000_000
_RETIRING = ("expiration_date", "retires_at", "deprecation", "shutdown_date")
"""OpenRouter, Anthropic, Mistral, OpenAI: null where it stays."""
_GOING = frozenset({"deprecated", "retired", "deprecating"})
_LONGEST_DATE = 10

EntryReader: TypeAlias = Callable[[str, JsonObject], ListedModel | None]
"""From the name in an entry and the whole entry to what it tells; None: it is left out."""


def read_entry(name: str, entry: JsonObject) -> ListedModel:
    """What an entry tells, wherever any known server writes it."""
    price_input, price_output = prices_of(entry)
    capabilities, lacks = capabilities_of(entry)
    retires = _retires(entry)
    return ListedModel(
        name,
        context_length_of(entry),
        _owner_of(entry),
        max_output_tokens=_most_output_of(entry),
        price_input=price_input,
        price_output=price_output,
        capabilities=capabilities,
        lacks=lacks,
        deprecated=retires is not None or str(entry.get("lifecycle")) in _GOING,
        retires=retires,
    )


def listed_models(
    entries: Sequence[JsonValue], *, id_fields: Sequence[str], read: EntryReader = read_entry
) -> tuple[ListedModel, ...]:
    """The models of a listing's entries in their order, each once; entries without a name are
    left out.

    Args:
        id_fields: Where an entry's name stands, the best one first.
        read: What the provider's entries tell.
    """
    models: dict[str, ListedModel] = {}
    for entry in entries:
        name = _name_of(entry, id_fields)
        if name and name not in models:
            model = read(name, entry if isinstance(entry, dict) else {})
            if model is not None:
                models[name] = model
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


def _owner_of(entry: JsonObject) -> str:
    owner = entry.get("owned_by")
    return owner if isinstance(owner, str) else ""


def context_length_of(entry: JsonObject) -> int | None:
    """How many tokens an entry says that its model takes.

    Where one model has several providers behind it (Hugging Face's router), the least that one of
    them takes: nobody says which will serve a request.
    """
    said = next(_lengths_of(entry), None)
    if said is not None:
        return said
    lengths = [count_of(provider.get("context_length")) for provider in live_providers(entry)]
    return min((length for length in lengths if length is not None), default=None)


def _lengths_of(entry: JsonObject) -> Iterator[int]:
    for field in _LENGTH_FIELDS:
        if (length := count_of(entry.get(field))) is not None:
            yield length
    for name, fields in _LENGTH_FIELDS_INSIDE:
        inside = entry.get(name)
        if isinstance(inside, dict):
            for field in fields:
                if (length := count_of(inside.get(field))) is not None:
                    yield length


def _most_output_of(entry: JsonObject) -> int | None:
    for holder in (entry, *map(entry.get, _OUTPUT_HOLDERS)):
        if isinstance(holder, dict):
            for field in _OUTPUT_FIELDS:
                if (length := count_of(holder.get(field))) is not None:
                    return length
    return None


def count_of(value: JsonValue) -> int | None:
    """A plausible number of tokens. Servers write 0 or null for what they do not know."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return int(value) if 1 <= value <= _LARGEST_LENGTH else None


def _retires(entry: JsonObject) -> date | None:
    for field in _RETIRING:
        told = entry.get(field)
        if isinstance(told, str):
            try:
                return date.fromisoformat(told[:_LONGEST_DATE])
            except ValueError:
                continue
    return None
