"""Answers with embeddings, in both directions."""

from __future__ import annotations

import base64
import binascii
from typing import cast

from forebay.protocol.canonical.embeddings import (
    EmbeddingRequest,
    EmbeddingResponse,
    Vector,
    VectorEncoding,
    packed,
    unpacked,
    unusable,
    whole_numbers,
)
from forebay.protocol.canonical.errors import ApiFailure
from forebay.protocol.dialects.embeddings import (
    EmbeddingContext,
    one_for_each_input,
    vector_of_numbers,
)
from forebay.protocol.dialects.fields import rest_of
from forebay.protocol.dialects.openai._error_decoding import error_inside
from forebay.protocol.dialects.openai._names import OPENAI
from forebay.protocol.dialects.openai._raw_fields import extras_of, with_nested
from forebay.protocol.dialects.openai._usage import (
    decode_usage,
    rest_of_usage,
    with_rest_of_usage,
)
from forebay.protocol.jsontext import JsonObject, JsonValue


def decode_answer(body: JsonObject) -> EmbeddingResponse:
    """The vectors by their indices, whatever their order in the answer.

    Raises:
        ApiFailure: the error that the body carries; or UPSTREAM_ERROR, it holds no embeddings.
    """
    error = error_inside(body)
    if error is not None:
        raise ApiFailure(error[0])
    data = body.get("data")
    if not isinstance(data, list):
        raise unusable("it has no 'data'")
    vectors: dict[int, Vector] = {}
    for place, item in enumerate(data):
        if not isinstance(item, dict):
            raise unusable("an element of its 'data' is no object")
        vectors[_index(item, place)] = _decode_vector(item.get("embedding"))
    if sorted(vectors) != list(range(len(data))):
        raise unusable("its vectors are not numbered one by one")
    model = body.get("model")
    return EmbeddingResponse(
        model=model if isinstance(model, str) else "",
        vectors=tuple(vectors[index] for index in range(len(data))),
        usage=decode_usage(body.get("usage")),
        extras=extras_of(
            with_nested(
                rest_of(body, ("object", "data", "model", "usage")),
                "usage",
                rest_of_usage(body.get("usage")),
            )
        ),
    )


def _index(item: JsonObject, place: int) -> int:
    """The number of the input; some servers leave it out."""
    index = item.get("index", place)
    if not isinstance(index, int) or isinstance(index, bool):
        raise unusable("an 'index' is no number")
    return index


def _decode_vector(value: JsonValue) -> Vector:
    if not isinstance(value, str):
        return vector_of_numbers(value)
    try:
        data = base64.b64decode(value, validate=True)
    except binascii.Error:
        raise unusable("a vector is no base64") from None
    if not whole_numbers(data):
        raise unusable("a vector is cut inside a number")
    return data


def is_as_asked(body: JsonObject, request: EmbeddingRequest) -> bool:
    """Whether an answer that :func:`decode_answer` has read is one that the client can read: every
    vector there, in order, in the encoding that it asked for. The official Node client takes a
    vector in the wrong one for an empty vector."""
    wanted = str if request.encoding is VectorEncoding.BASE64 else list
    data = body.get("data")
    return (
        isinstance(data, list)
        and len(data) == len(request.inputs)
        and all(
            isinstance(item, dict)
            and item.get("index") == place
            and isinstance(item.get("embedding"), wanted)
            for place, item in enumerate(data)
        )
    )


def encode_answer(response: EmbeddingResponse, context: EmbeddingContext) -> JsonObject:
    encoding = context.request.encoding
    vectors = one_for_each_input(response, context.request)
    usage = response.usage
    tokens = context.input_tokens_estimate if usage is None else usage.input_total
    counts: JsonObject = {"prompt_tokens": tokens, "total_tokens": tokens}
    raw = response.extras.get(OPENAI, {})
    answer: JsonObject = {
        "object": "list",
        "data": [
            {"object": "embedding", "index": index, "embedding": _encode_vector(vector, encoding)}
            for index, vector in enumerate(vectors)
        ],
        "model": context.request.model,
        "usage": with_rest_of_usage(counts, raw.get("usage")),
    }
    return {**raw, **answer}


def _encode_vector(vector: Vector, encoding: VectorEncoding) -> JsonValue:
    if encoding is VectorEncoding.BASE64:
        return base64.b64encode(packed(vector)).decode("ascii")
    return cast("list[JsonValue]", unpacked(vector))
