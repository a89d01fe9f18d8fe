"""The lists of models, in each dialect, and what else Ollama's clients look at first."""

from __future__ import annotations

import time

from quart import Blueprint, Response, request

from forebay.actors.gateway.catalog import CatalogEntry
from forebay.actors.gateway.gateway import Gateway
from forebay.endpoints.routes import dialect_of
from forebay.endpoints.visits import visit
from forebay.protocol.canonical.errors import ApiError, ApiFailure, ErrorKind, bad_request
from forebay.protocol.dialects.base import ModelCard
from forebay.protocol.dialects.fields import required_string
from forebay.protocol.dialects.ollama import encode_running, encode_status, encode_version
from forebay.protocol.dialects.registry import SPEECH
from forebay.protocol.jsontext import InvalidJson, loads_object

OLLAMA_VERSION = "0.13.5"
"""Tools compare it to decide what they may use; the version whose API this is."""


def pages(gateway: Gateway) -> Blueprint:
    """Routes that list ``gateway``'s models."""
    blueprint = Blueprint("models", __name__)
    started = int(time.time())

    def card(entry: CatalogEntry) -> ModelCard:
        return ModelCard(
            id=entry.id,
            created=started,
            owned_by=entry.owned_by,
            context_length=entry.context_length,
        )

    def cards() -> list[ModelCard]:
        return [card(entry) for entry in gateway.catalog.entries(visit().client)]

    def one(name: str) -> ModelCard:
        entry = gateway.catalog.find(name, visit().client)
        if entry is None:
            raise ApiFailure(
                ApiError(
                    kind=ErrorKind.MODEL_NOT_FOUND,
                    message=f"model '{name}' not found",
                    param="model",
                    code="model_not_found",
                )
            )
        return card(entry)

    @blueprint.get("/v1/models")
    async def model_list() -> Response:
        here = visit()
        return here.json(SPEECH[dialect_of(here.head)].encode_model_list(cards()))

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
        here = visit()
        return here.json(SPEECH[dialect_of(here.head)].encode_model_list(cards()))

    @blueprint.get("/api/ps")
    async def running() -> Response:
        return visit().json(encode_running(cards()))

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
