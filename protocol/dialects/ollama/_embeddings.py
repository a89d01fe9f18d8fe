"""``POST /api/embed``, and ``POST /api/embeddings`` as it was before."""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast

from forebay.protocol.canonical.embeddings import (
    EmbeddingRequest,
    EmbeddingResponse,
    unpacked,
    unusable,
)
from forebay.protocol.canonical.errors import ApiFailure, bad_request
from forebay.protocol.canonical.events import Usage
from forebay.protocol.canonical.requests import Dialect
from forebay.protocol.dialects.base import EncodedRequest, UpstreamTraits
from forebay.protocol.dialects.embedding_losses import EmbeddingLosses
from forebay.protocol.dialects.embeddings import (
    EmbeddingCodec,
    EmbeddingContext,
    one_for_each_input,
    vector_of_numbers,
)
from forebay.protocol.dialects.fields import (
    optional_bool,
    optional_int,
    optional_object,
    optional_string,
    rest_of,
)
from forebay.protocol.dialects.ollama._error_texts import stream_error
from forebay.protocol.dialects.ollama._keep_alive import keep_alive_seconds
from forebay.protocol.dialects.ollama._losses import EMBED_LOSSES, EMBEDDINGS_LOSSES
from forebay.protocol.dialects.ollama._names import OLLAMA, OLLAMA_EMBED, OLLAMA_EMBEDDINGS
from forebay.protocol.dialects.ollama._request_fields import required_model
from forebay.protocol.jsontext import JsonObject, JsonValue

_EMBED_FIELDS = frozenset({"model", "input", "truncate", "dimensions"})
_LEGACY_FIELDS = frozenset({"model", "prompt"})


class OllamaEmbedCodec(EmbeddingCodec):
    """The API for several inputs. A request without any loads the model."""

    api = OLLAMA_EMBED
    dialect = OLLAMA
    path = "/api/embed"
    most_inputs: int | None = None
    losses = EMBED_LOSSES

    def decode_request(self, body: JsonObject) -> EmbeddingRequest:
        dimensions = optional_int(body, "dimensions")
        return EmbeddingRequest(
            model=required_model(body),
            inputs=_decode_input(body.get("input")),
            # Ollama takes zero for "all", too.
            dimensions=dimensions if dimensions is not None and dimensions > 0 else None,
            truncate=optional_bool(body, "truncate"),
            extras=_extras(body, _EMBED_FIELDS),
        )

    def reply_without_model(
        self, request: EmbeddingRequest, context: EmbeddingContext
    ) -> JsonObject | None:
        return None if request.inputs else {"model": context.request.model, "embeddings": []}

    def encode_request(self, request: EmbeddingRequest, traits: UpstreamTraits) -> EncodedRequest:
        # Always an array: an empty string by itself would ask for nothing.
        body: JsonObject = {"model": request.model, "input": [*_texts(request)]}
        if request.truncate is not None:
            body["truncate"] = request.truncate
        if request.dimensions is not None:
            body["dimensions"] = request.dimensions
        return _with_extras(body, request, EMBED_LOSSES)

    def decode_response(self, body: JsonObject) -> EmbeddingResponse:
        _raise_error_inside(body)
        vectors = body.get("embeddings")
        if not isinstance(vectors, list):
            raise unusable("it has no 'embeddings'")
        model = body.get("model")
        count = body.get("prompt_eval_count")
        counted = isinstance(count, int) and not isinstance(count, bool)
        return EmbeddingResponse(
            model=model if isinstance(model, str) else "",
            vectors=tuple(vector_of_numbers(vector) for vector in vectors),
            usage=Usage(input_uncached=max(0, cast("int", count))) if counted else None,
            extras=_kept(rest_of(body, ("model", "embeddings", "prompt_eval_count"))),
        )

    def encode_response(self, response: EmbeddingResponse, context: EmbeddingContext) -> JsonObject:
        usage = response.usage
        vectors = one_for_each_input(response, context.request)
        return {
            "model": context.request.model,
            "embeddings": [cast("list[JsonValue]", unpacked(vector)) for vector in vectors],
            "total_duration": max(1, context.elapsed_ns()),
            "load_duration": 0,
            "prompt_eval_count": (
                context.input_tokens_estimate if usage is None else usage.input_total
            ),
            # Also its times, where it took them.
            **response.extras.get(OLLAMA, {}),
        }


class OllamaEmbeddingsCodec(EmbeddingCodec):
    """The older API for one prompt. A request without it loads the model."""

    api = OLLAMA_EMBEDDINGS
    dialect = OLLAMA
    path = "/api/embeddings"
    most_inputs: int | None = 1
    losses = EMBEDDINGS_LOSSES

    def decode_request(self, body: JsonObject) -> EmbeddingRequest:
        prompt = optional_string(body, "prompt")
        return EmbeddingRequest(
            model=required_model(body),
            inputs=(prompt,) if prompt else (),
            extras=_extras(body, _LEGACY_FIELDS),
        )

    def reply_without_model(
        self, request: EmbeddingRequest, context: EmbeddingContext
    ) -> JsonObject | None:
        return None if request.inputs else {"embedding": []}

    def encode_request(self, request: EmbeddingRequest, traits: UpstreamTraits) -> EncodedRequest:
        if len(request.inputs) > 1:
            raise bad_request(
                f"/api/embeddings takes one prompt, got {len(request.inputs)} inputs: use "
                "/api/embed",
                param="input",
                code="array_above_max_length",
            )
        if request.dimensions is not None:
            raise bad_request(
                "/api/embeddings can't shorten its vectors: leave out 'dimensions', or use "
                "/api/embed",
                param="dimensions",
                code="unsupported_parameter",
            )
        body: JsonObject = {"model": request.model, "prompt": "".join(_texts(request))}
        return _with_extras(body, request, EMBEDDINGS_LOSSES)

    def decode_response(self, body: JsonObject) -> EmbeddingResponse:
        _raise_error_inside(body)
        return EmbeddingResponse(
            model="",
            vectors=(vector_of_numbers(body.get("embedding")),),
            extras=_kept(rest_of(body, ("embedding",))),
        )

    def encode_response(self, response: EmbeddingResponse, context: EmbeddingContext) -> JsonObject:
        [vector] = one_for_each_input(response, context.request)
        raw = response.extras.get(OLLAMA, {})
        return {**raw, "embedding": cast("list[JsonValue]", unpacked(vector))}


def _decode_input(value: JsonValue) -> tuple[str, ...]:
    match value:
        case None:
            return ()
        case str():
            return (value,) if value else ()
        case list():
            return tuple(_text(element, f"input[{at}]") for at, element in enumerate(value))
        case _:
            raise _invalid("input")


def _text(value: JsonValue, path: str) -> str:
    if isinstance(value, str):
        return value
    raise _invalid(path)


def _invalid(path: str) -> ApiFailure:
    return bad_request(
        f"invalid input type: '{path}' must be a string"
        + (" or an array of strings" if path == "input" else ""),
        param=path,
        code="invalid_type",
    )


def _extras(body: JsonObject, known: Iterable[str]) -> dict[Dialect, JsonObject]:
    optional_object(body, "options")
    keep_alive_seconds(body.get("keep_alive"))
    return _kept(rest_of(body, known))


def _kept(rest: JsonObject) -> dict[Dialect, JsonObject]:
    return {OLLAMA: rest} if rest else {}


def _texts(request: EmbeddingRequest) -> list[str]:
    texts: list[str] = []
    for at, entry in enumerate(request.inputs):
        if not isinstance(entry, str):
            raise bad_request(
                f"'input[{at}]' is an array of tokens, and this model's provider (Ollama) reads "
                "text only: send strings",
                param="input",
                code="unsupported_value",
            )
        texts.append(entry)
    return texts


def _with_extras(
    body: JsonObject, request: EmbeddingRequest, losses: EmbeddingLosses
) -> EncodedRequest:
    for name, value in request.extras.get(OLLAMA, {}).items():
        body.setdefault(name, value)
    return EncodedRequest(body=body, dropped=losses.dropped(request))


def _raise_error_inside(body: JsonObject) -> None:
    error = body.get("error")
    if error:
        raise ApiFailure(stream_error(error))
