"""The kept answers of OpenAI's Responses API, each for the client that it was given to."""

from __future__ import annotations

from quart import Blueprint, Response, request

from forebay.actors.gateway.gateway import Gateway
from forebay.actors.stores import StoredResponse
from forebay.endpoints.visits import visit
from forebay.protocol.dialects.openai.responses.conversations import (
    encode_deleted,
    encode_not_found,
    list_items,
    not_cancellable,
    not_streamable,
    read_item_query,
    shown_items,
)
from forebay.protocol.jsontext import loads_object


def pages(gateway: Gateway) -> Blueprint:
    """Routes to what ``gateway`` keeps."""
    blueprint = Blueprint("responses", __name__)

    async def kept(response_id: str) -> StoredResponse | None:
        return await gateway.responses.get(visit().client.name, response_id)

    def not_found(response_id: str) -> Response:
        return visit().json(encode_not_found(response_id), 404)

    @blueprint.get("/v1/responses/<response_id>")
    async def retrieve(response_id: str) -> Response:
        response = await kept(response_id)
        if response is None:
            return not_found(response_id)
        if request.args.get("stream", "").lower() in ("true", "1"):
            raise not_streamable()
        return visit().response(response.body, 200, "application/json", {})

    @blueprint.delete("/v1/responses/<response_id>")
    async def delete(response_id: str) -> Response:
        here = visit()
        if not await gateway.responses.delete(here.client.name, response_id):
            return not_found(response_id)
        return here.json(encode_deleted(response_id))

    @blueprint.get("/v1/responses/<response_id>/input_items")
    async def input_items(response_id: str) -> Response:
        response = await kept(response_id)
        if response is None:
            return not_found(response_id)
        query = read_item_query(request.args)
        include = (*request.args.getlist("include[]"), *request.args.getlist("include"))
        items = [loads_object(item.text) for item in response.input_items]
        return visit().json(list_items(shown_items(items, include), query))

    @blueprint.post("/v1/responses/<response_id>/cancel")
    async def cancel(response_id: str) -> Response:
        if await kept(response_id) is None:
            return not_found(response_id)
        raise not_cancellable()

    return blueprint
