"""What a dialect implements for each of its APIs that asks for embeddings.

Like a chat codec, an :class:`EmbeddingCodec` reads and writes both sides of its API, is stateless
and shared. Embeddings are never streamed.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from array import array
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

from forebay.protocol.canonical.embeddings import (
    EmbeddingRequest,
    EmbeddingResponse,
    Vector,
    unusable,
)
from forebay.protocol.canonical.requests import Dialect
from forebay.protocol.dialects.base import USUAL_SERVER, Api, EncodedRequest, UpstreamTraits
from forebay.protocol.dialects.embedding_losses import EmbeddingLosses
from forebay.protocol.jsontext import JsonObject, JsonValue


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddingContext:
    """What an answer's encoder must know of the request that it answers."""

    request: EmbeddingRequest
    """As the client sent it: ``request.model`` is the name that it sees."""
    input_tokens_estimate: int
    """Used where the upstream reports no usage."""
    elapsed_ns: Callable[[], int]
    """Nanoseconds since the request arrived."""


class EmbeddingCodec(ABC):
    """One API that asks for embeddings."""

    api: Api
    dialect: Dialect
    path: str
    """Where clients post their requests."""
    most_inputs: int | None
    """How many inputs the API takes in one request; None: any number."""
    losses: EmbeddingLosses
    """What of a request the API can't say, and what becomes of it."""

    @abstractmethod
    def decode_request(self, body: JsonObject) -> EmbeddingRequest:
        """Read a client's request.

        Raises:
            ApiFailure: BAD_REQUEST that names the field at fault and the mend.
        """

    def reply_without_model(
        self, request: EmbeddingRequest, context: EmbeddingContext
    ) -> JsonObject | None:
        """The answer to a request without inputs, where the dialect takes it for one to load the
        model; None for all others."""
        return None

    def can_relay(self, request: EmbeddingRequest, traits: UpstreamTraits = USUAL_SERVER) -> bool:
        """Whether the client's own bytes may go as they are to a server of this API."""
        return True

    def can_relay_answer(self, body: JsonObject, request: EmbeddingRequest) -> bool:
        """Whether the answer of a server of this API is what the client asked for, so that its
        bytes may go to the client as they are. ``decode_response`` has read ``body`` before."""
        return True

    @abstractmethod
    def encode_request(self, request: EmbeddingRequest, traits: UpstreamTraits) -> EncodedRequest:
        """Write a request for an upstream. ``request.model`` is already the upstream's id, and
        there are no more inputs than ``most_inputs`` (see ``canonical.embeddings.split``).

        Raises:
            ApiFailure: BAD_REQUEST where leaving out what the API can't say would change the
                meaning of the request.
        """

    @abstractmethod
    def decode_response(self, body: JsonObject) -> EmbeddingResponse:
        """Read an upstream's answer.

        Raises:
            ApiFailure: UPSTREAM_ERROR, the answer is not of this API; or the error that a body
                with status 200 carries.
        """

    @abstractmethod
    def encode_response(self, response: EmbeddingResponse, context: EmbeddingContext) -> JsonObject:
        """Write an answer for a client, in the encoding that it asked for.

        Raises:
            ApiFailure: UPSTREAM_ERROR, there are not as many vectors as inputs, or they can't be
                said in the encoding.
        """


def vector_of_numbers(value: JsonValue) -> list[float]:
    """A vector that an upstream wrote as an array.

    Raises:
        ApiFailure: UPSTREAM_ERROR, the value is no array of numbers.
    """
    if not isinstance(value, list):
        raise unusable("a vector is no array")
    numbers = cast("list[float]", value)
    try:
        # Looks at all types without a step of Python for each number.
        array("d", numbers)
    except TypeError:
        raise unusable("a vector holds what is no number") from None
    return numbers


def one_for_each_input(
    response: EmbeddingResponse, request: EmbeddingRequest
) -> tuple[Vector, ...]:
    """The vectors of ``response``.

    Raises:
        ApiFailure: UPSTREAM_ERROR, they are more or fewer than the inputs: which belongs to which
            can't be told.
    """
    if len(response.vectors) != len(request.inputs):
        raise unusable(f"{len(response.vectors)} vectors for {len(request.inputs)} inputs")
    return response.vectors
