"""The lists of models, in each dialect, and what else Ollama's clients look at first."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Final, TypeAlias

from quart import Blueprint, Response, request

from forebay.actors.gateway.gateway import Gateway
from forebay.actors.routing.model_index import CatalogEntry
from forebay.endpoints.routes import dialect_of
from forebay.endpoints.visits import visit
from forebay.protocol.canonical.errors import (
    bad_request,
    model_not_found,
)
from forebay.protocol.dialects.base import ModelCard
from forebay.protocol.dialects.fields import required_string
from forebay.protocol.dialects.listed_capabilities import capability_words
from forebay.protocol.dialects.ollama import encode_running, encode_status, encode_version
from forebay.protocol.dialects.registry import SPEECH
from forebay.protocol.jsontext import InvalidJson, JsonObject, dumps, loads_object

OLLAMA_VERSION = "0.13.5"
"""Tools compare it to decide what they may use; the version whose API this is."""
_RUNNING: Final = "running"


_ListEncoder: TypeAlias = Callable[[Sequence[ModelCard]], JsonObject]


class _WrittenLists:
    """The lists for clients that may ask for all, as they were written last: thousands of models
    are not written anew for everybody who asks."""

    def __init__(self, started: int) -> None:
        self._started = started
        self._written: dict[str, tuple[tuple[CatalogEntry, ...], bytes]] = {}

    def of(self, kind: str, entries: tuple[CatalogEntry, ...], encode: _ListEncoder) -> bytes:
        """The list of ``entries``.

        Args:
            kind: of list; what ``encode`` belongs to.
        """
        known = self._written.get(kind)
        if known is not None and known[0] is entries:
            return known[1]
        body = write_list(entries, self._started, encode)
        self._written[kind] = entries, body
        return body


def write_list(
    entries: tuple[CatalogEntry, ...],
    created: int,
    encode: Callable[[Sequence[ModelCard]], JsonObject],
) -> bytes:
    """The list of ``entries``, as ``encode`` has it.

    Args:
        created: Unix seconds, of all models.
    """
    return dumps(encode([_card(entry, created) for entry in entries]))


def _card(entry: CatalogEntry, created: int) -> ModelCard:
    facts = entry.facts
    return ModelCard(
        id=entry.id,
        created=created,
        owned_by=entry.owned_by,
        context_length=facts.context_tokens,
        capabilities=capability_words(facts),
        max_output_tokens=facts.max_output_tokens,
        deprecated=facts.deprecated is True,
        retires=facts.retires,
    )


def pages(gateway: Gateway) -> Blueprint:
    """Routes that list ``gateway``'s models."""
    blueprint = Blueprint("models", __name__)
    started = int(time.time())
    written = _WrittenLists(started)

    def one(name: str) -> ModelCard:
        entry = gateway.catalog.index.find(name, visit().client)
        if entry is None:
            raise model_not_found(name)
        return _card(entry, started)

    def shown(kind: str, encode: _ListEncoder) -> Response:
        here = visit()
        entries = gateway.catalog.index.entries(here.client)
        if here.client.models is None:
            body = written.of(kind, entries, encode)
        else:
            body = write_list(entries, started, encode)
        return here.response(body, 200, SPEECH[dialect_of(here.head)].json_content_type, {})

    def listed() -> Response:
        here = visit()
        dialect = dialect_of(here.head)
        speech = SPEECH[dialect]
        entries = gateway.catalog.index.entries(here.client)
        query = here.head.query
        page = speech.page_of([entry.id for entry in entries], query) if query else None
        if page is None:
            return shown(dialect, speech.encode_model_list)
        cards = [_card(entry, started) for entry in entries[page.start : page.stop]]
        return here.json(speech.encode_model_list(cards, more=page.more))

    @blueprint.get("/v1/models")
    async def model_list() -> Response:
        return listed()

    @blueprint.get("/v1/models/<path:name>")
    async def model(name: str) -> Response:
        here = visit()
        return here.json(SPEECH[dialect_of(here.head)].encode_model(one(name)))

    @blueprint.get("/")
    async def greeting() -> Response:
        # The very words: many tools look for them to find an Ollama server.
        return visit().response(b"Ollama is running", 200, "text/plain; charset=utf-8", {})

    @blueprint.get("/api/version")
    async def version() -> Response:
        return visit().json(encode_version(OLLAMA_VERSION))

    @blueprint.get("/api/status")
    async def status() -> Response:
        return visit().json(encode_status())

    @blueprint.get("/api/tags")
    async def tags() -> Response:
        return listed()

    @blueprint.get("/api/ps")
    async def running() -> Response:
        return shown(_RUNNING, encode_running)

    @blueprint.post("/api/show")
    async def show() -> Response:
        body = await request.get_data(as_text=False)
        if not body:
            raise bad_request("missing request body")
        try:
            fields = loads_object(body)
        except InvalidJson as fault:
            raise bad_request(f"the request body is not valid JSON: {fault}") from None
        name = required_string(fields, "model" if fields.get("model") else "name")
        here = visit()
        return here.json(SPEECH[dialect_of(here.head)].encode_model(one(name)))

    return blueprint
