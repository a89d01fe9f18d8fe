"""The canonical embeddings request and its answer, and cutting one into several.

A vector stays in the form in which it came, because most go out in the same one: as packed bytes
(OpenAI's base64, decoded) or as a list of floats (JSON). Either becomes the other only where the
client reads the other.
"""

from __future__ import annotations

import math
import sys
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TypeAlias

from forebay.protocol.canonical.errors import ApiError, ApiFailure, ErrorKind
from forebay.protocol.canonical.events import Usage, summed_usage
from forebay.protocol.canonical.requests import Extras

EmbeddingInput: TypeAlias = str | tuple[int, ...]
"""A text, or the ids of its tokens in the model's own vocabulary."""

Vector: TypeAlias = bytes | list[float]
"""Little-endian float32 numbers, packed; or floats, not to be changed."""

_BYTES_PER_NUMBER = 4
_TOKENS_PER_BYTE = 1 / 3
"""Pessimistic: English text has about four bytes to a token, code and other scripts fewer."""


class VectorEncoding(StrEnum):
    """How vectors are written in an answer."""

    FLOAT = "float"
    """An array of JSON numbers."""
    BASE64 = "base64"
    """Base64 of packed little-endian float32 numbers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddingRequest:
    """One request for the vectors of one or more inputs."""

    model: str
    inputs: tuple[EmbeddingInput, ...]
    """In the order in which the vectors are wanted. Empty only where the dialect takes such a
    request for one to load the model."""
    dimensions: int | None = None
    """How long the vectors are to be; None: as the model makes them."""
    encoding: VectorEncoding = VectorEncoding.FLOAT
    """What the client reads."""
    truncate: bool | None = None
    """Whether an input that is too long is cut instead of refused; None: as the server does."""
    user_id: str | None = None
    extras: Extras = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddingResponse:
    """A whole answer."""

    model: str
    vectors: tuple[Vector, ...]
    """One for each input, in the order of the inputs."""
    usage: Usage | None = None
    extras: Extras = field(default_factory=dict, compare=False)
    """Raw fields of an answer that came from one call."""


def packed(vector: Vector) -> bytes:
    """``vector`` as little-endian float32 numbers, each the nearest to what was given.

    Raises:
        ApiFailure: UPSTREAM_ERROR, a number is beyond what float32 holds.
    """
    if isinstance(vector, bytes):
        return vector
    numbers = array("f", vector)
    if not _all_finite(numbers):
        raise unusable("a number of a vector is too large for float32")
    return _little_endian(numbers).tobytes()


def unpacked(vector: Vector) -> list[float]:
    """``vector`` as floats, each exactly the float32 number that was packed.

    Raises:
        ApiFailure: UPSTREAM_ERROR, a number is infinite or none at all, which JSON can't say.
    """
    if isinstance(vector, list):
        return vector
    numbers = array("f")
    numbers.frombytes(vector)
    values = _little_endian(numbers).tolist()
    if not _all_finite(values):
        raise unusable("a vector holds what is no number")
    return values


def whole_numbers(data: bytes) -> bool:
    """Whether ``data`` can be packed numbers: no number is cut."""
    return len(data) % _BYTES_PER_NUMBER == 0


def unusable(why: str) -> ApiFailure:
    """An upstream's answer can't be handed on; ``why`` says what is wrong with it."""
    return ApiFailure(
        ApiError(
            kind=ErrorKind.UPSTREAM_ERROR, message=f"the upstream's answer can't be used: {why}"
        )
    )


def _all_finite(numbers: Sequence[float]) -> bool:
    # One addition a number, and no sum of float32 numbers overflows a double.
    return math.isfinite(sum(numbers))


def _little_endian(numbers: array[float]) -> array[float]:
    if sys.byteorder == "big":  # pragma: no cover
        numbers.byteswap()
    return numbers


def split(
    request: EmbeddingRequest,
    most_inputs: int | None,
    most_tokens: int | None = None,
    *,
    tokens_per_byte: float = _TOKENS_PER_BYTE,
) -> list[EmbeddingRequest]:
    """The requests that ask together for what ``request`` asks, in its order.

    Args:
        request: What the client asked.
        most_inputs: How many inputs a server takes at once; None: any number.
        most_tokens: How many tokens it takes at once; None: any number. An input that alone has
            more gets a request to itself.
        tokens_per_byte: How many tokens a byte of text (UTF-8) is taken for.

    Returns:
        ``[request]`` itself where it fits.

    Raises:
        ValueError: ``most_inputs`` is less than 1.
    """
    if most_inputs is not None and most_inputs < 1:
        raise ValueError(f"most_inputs must be at least 1, got {most_inputs}")
    shares = list(_shares(request.inputs, most_inputs, most_tokens, tokens_per_byte))
    if len(shares) <= 1:
        return [request]
    return [replace(request, inputs=share) for share in shares]


def _shares(
    inputs: Sequence[EmbeddingInput],
    most_inputs: int | None,
    most_tokens: int | None,
    tokens_per_byte: float,
) -> Iterator[tuple[EmbeddingInput, ...]]:
    share: list[EmbeddingInput] = []
    tokens = 0.0
    for entry in inputs:
        size = _tokens_of(entry, tokens_per_byte) if most_tokens is not None else 0.0
        full = most_inputs is not None and len(share) == most_inputs
        too_many = most_tokens is not None and tokens + size > most_tokens
        if share and (full or too_many):
            yield tuple(share)
            share, tokens = [], 0.0
        share.append(entry)
        tokens += size
    if share:
        yield tuple(share)


def _tokens_of(entry: EmbeddingInput, tokens_per_byte: float) -> float:
    if isinstance(entry, str):
        return len(entry.encode("utf-8", "surrogatepass")) * tokens_per_byte
    return float(len(entry))


def join(responses: Sequence[EmbeddingResponse]) -> EmbeddingResponse:
    """The answer to a request from those to what :func:`split` made of it, in the same order.

    Raises:
        ValueError: there are no responses.
    """
    if not responses:
        raise ValueError("there is nothing to join")
    if len(responses) == 1:
        return responses[0]
    return EmbeddingResponse(
        model=responses[0].model,
        vectors=tuple(vector for response in responses for vector in response.vectors),
        usage=summed_usage(response.usage for response in responses),
    )
