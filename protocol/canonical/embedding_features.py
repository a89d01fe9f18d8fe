"""What a request for embeddings can say, one thing at a time; as
:mod:`forebay.protocol.canonical.features` has it of chats."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import TypeAlias

from forebay.protocol.canonical.embeddings import EmbeddingRequest, VectorEncoding

EmbeddingReader: TypeAlias = Callable[[EmbeddingRequest], object]


class EmbeddingFeature(Enum):
    """One thing that a request may say. ``title`` is for people, in Markdown."""

    title: str
    read: EmbeddingReader

    def __init__(self, title: str, read: EmbeddingReader) -> None:
        self.title = title
        self.read = read

    def said(self, request: EmbeddingRequest) -> bool:
        """Whether ``request`` says it."""
        return bool(self.read(request))

    TOKENS = (
        "inputs of tokens",
        lambda r: [each for each in r.inputs if not isinstance(each, str)],
    )
    DIMENSIONS = "how long the vectors are to be (`dimensions`)", lambda r: r.dimensions
    BASE64 = (
        "vectors in base64 (`encoding_format`)",
        lambda r: r.encoding is VectorEncoding.BASE64,
    )
    TO_BE_CUT = "that inputs that are too long be cut (`truncate`)", lambda r: r.truncate is True
    NOT_TO_BE_CUT = (
        "that inputs that are too long be refused (`truncate`)",
        lambda r: r.truncate is False,
    )
    USER_ID = "whose request it is", lambda r: r.user_id
    OWN_FIELDS = (
        "other fields of its own, like Ollama's `keep_alive` and `options`",
        lambda r: [name for fields in r.extras.values() for name in fields],
    )
