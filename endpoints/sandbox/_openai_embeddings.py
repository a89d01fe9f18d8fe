"""``/v1/embeddings``."""

from __future__ import annotations

from forebay.endpoints.sandbox._call import Answer, Call, EmbeddingCall, Identity
from forebay.endpoints.sandbox._dialect import Models, NeverStreams
from forebay.endpoints.sandbox._failures import FailureKind
from forebay.endpoints.sandbox._fields import Fields
from forebay.endpoints.sandbox._http import Request
from forebay.endpoints.sandbox._openai_errors import OpenAIErrors
from forebay.endpoints.sandbox._openai_fields import bad, find_model, refused
from forebay.endpoints.sandbox._openai_texts import read_texts
from forebay.endpoints.sandbox._vectors import LONGEST, packed, vector
from forebay.protocol.jsontext import JsonObject, JsonValue

_MOST_TEXTS = 2048
_MOST_TOKENS = 300_000
"""Of all texts of a request."""


class OpenAIEmbeddings(NeverStreams, OpenAIErrors):
    """See :class:`~forebay.endpoints.sandbox._dialect.Dialect`."""

    name = "openai"

    def read_call(self, fields: Fields, request: Request, models: Models) -> Call:
        model = find_model(fields, models)
        texts, sizes = read_texts(fields, "input", most=_MOST_TEXTS, takes_empty=False)
        fields.optional_text("user")
        for size in sizes:
            if size > model.context_tokens:
                raise refused(
                    FailureKind.CONTEXT,
                    f"This model's maximum context length is {model.context_tokens} tokens, "
                    f"however you requested {size} tokens. Please reduce your prompt.",
                    "input",
                )
        if sum(sizes) > _MOST_TOKENS:
            raise refused(
                FailureKind.BAD_VALUE,
                f"Requested {sum(sizes)} tokens, max {_MOST_TOKENS} tokens per request",
                "input",
                "max_tokens_per_request",
            )
        return EmbeddingCall(
            model=model,
            model_name=model.name,
            stream=False,
            input_tokens=sum(sizes),
            user_text="\n".join(texts),
            texts=texts,
            dimensions=_dimensions(fields),
            packed=_is_packed(fields),
        )

    def whole(self, call: Call, answers: list[Answer], identity: Identity) -> JsonObject:
        assert isinstance(call, EmbeddingCall)
        return {
            "object": "list",
            "data": [
                {"object": "embedding", "index": index, "embedding": _vector(call, text)}
                for index, text in enumerate(call.texts)
            ],
            "model": call.model_name,
            "usage": {"prompt_tokens": call.input_tokens, "total_tokens": call.input_tokens},
        }


def _vector(call: EmbeddingCall, text: str) -> JsonValue:
    numbers = vector(text, call.dimensions)
    return packed(numbers) if call.packed else [*numbers]


def _dimensions(fields: Fields) -> int:
    dimensions = fields.optional_integer("dimensions")
    if dimensions is None:
        return LONGEST
    if not 1 <= dimensions <= LONGEST:
        raise bad(
            "dimensions",
            f"expected a value from 1 to {LONGEST} for this model, but got {dimensions} instead.",
        )
    return dimensions


def _is_packed(fields: Fields) -> bool:
    encoding = fields.optional_text("encoding_format")
    if encoding not in (None, "float", "base64"):
        raise bad("encoding_format", f"'{encoding}'. Supported values are: 'float' and 'base64'.")
    return encoding == "base64"
