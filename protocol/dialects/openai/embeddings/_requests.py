"""Requests for embeddings, in both directions."""

from __future__ import annotations

from forebay.protocol.canonical.embeddings import (
    EmbeddingRequest,
    VectorEncoding,
)
from forebay.protocol.canonical.errors import bad_request
from forebay.protocol.dialects.base import EncodedRequest
from forebay.protocol.dialects.fields import (
    optional_choice,
    optional_int,
    optional_string,
    required_string,
    rest_of,
)
from forebay.protocol.dialects.openai._names import OPENAI
from forebay.protocol.dialects.openai._raw_fields import extras_of
from forebay.protocol.dialects.openai._texts_or_tokens import decode_texts, encode_texts
from forebay.protocol.dialects.openai.embeddings._losses import LOSSES
from forebay.protocol.jsontext import JsonObject

MOST_INPUTS = 2048
_UNDERSTOOD = frozenset({"model", "input", "dimensions", "encoding_format", "user"})


def decode_request(body: JsonObject) -> EmbeddingRequest:
    """Raises:
    ApiFailure: BAD_REQUEST that names the field, in OpenAI's notation.
    """
    dimensions = optional_int(body, "dimensions")
    if dimensions is not None and dimensions < 1:
        raise bad_request(
            f"'dimensions' must be at least 1, got {dimensions}; leave it out for all",
            param="dimensions",
            code="integer_below_min_value",
        )
    encoding = optional_choice(body, "encoding_format", VectorEncoding)
    return EmbeddingRequest(
        model=required_string(body, "model"),
        inputs=decode_texts(body, "input", most=MOST_INPUTS),
        dimensions=dimensions,
        encoding=encoding or VectorEncoding.FLOAT,
        user_id=optional_string(body, "user"),
        extras=extras_of(rest_of(body, _UNDERSTOOD)),
    )


def encode_request(request: EmbeddingRequest) -> EncodedRequest:
    body: JsonObject = {"model": request.model, "input": encode_texts(request.inputs)}
    if request.encoding is not VectorEncoding.FLOAT:
        body["encoding_format"] = str(request.encoding)
    if request.dimensions is not None:
        body["dimensions"] = request.dimensions
    if request.user_id is not None:
        body["user"] = request.user_id
    for name, value in request.extras.get(OPENAI, {}).items():
        body.setdefault(name, value)
    return EncodedRequest(body=body, dropped=LOSSES.dropped(request))
