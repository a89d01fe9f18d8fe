"""``/api/embed``, and ``/api/embeddings`` as it was before. Both only load a model where there is
nothing to embed."""

from __future__ import annotations

from forebay.endpoints.sandbox._call import Answer, Call, EmbeddingCall, Identity
from forebay.endpoints.sandbox._dialect import Models, NeverStreams
from forebay.endpoints.sandbox._failures import Failure, FailureKind, Refused
from forebay.endpoints.sandbox._fields import Fields
from forebay.endpoints.sandbox._http import Request
from forebay.endpoints.sandbox._ollama import LoadedOnly
from forebay.endpoints.sandbox._ollama_errors import OllamaErrors
from forebay.endpoints.sandbox._ollama_reading import check_options, find_model
from forebay.endpoints.sandbox._options import SandboxModel
from forebay.endpoints.sandbox._vectors import LONGEST, vector
from forebay.endpoints.sandbox._words import token_count
from forebay.protocol.jsontext import JsonObject, JsonValue

_TOKEN_NS = 10_000


class OllamaEmbed(NeverStreams, OllamaErrors):
    """See :class:`~forebay.endpoints.sandbox._dialect.Dialect`."""

    name = "ollama"

    def read_call(self, fields: Fields, request: Request, models: Models) -> Call:
        """See the protocol; besides raises LoadedOnly."""
        model = find_model(fields, models)
        name = fields.optional_text("model") or model.name
        check_options(fields)
        dimensions = fields.optional_integer("dimensions") or 0
        truncate = fields.flag("truncate", default=True)
        texts = _texts(fields.values.get("input"))
        if not texts:
            raise LoadedOnly(lambda _: {"model": name, "embeddings": []})
        return _call(
            model,
            name,
            texts,
            dimensions=dimensions if 0 < dimensions < LONGEST else LONGEST,
            truncate=truncate,
        )

    def whole(self, call: Call, answers: list[Answer], identity: Identity) -> JsonObject:
        assert isinstance(call, EmbeddingCall)
        return {
            "model": call.model_name,
            "embeddings": [[*vector(text, call.dimensions)] for text in call.texts],
            "total_duration": call.input_tokens * _TOKEN_NS + 1_000,
            "load_duration": 1_000,
            "prompt_eval_count": call.input_tokens,
        }


class OllamaEmbeddings(NeverStreams, OllamaErrors):
    """See :class:`~forebay.endpoints.sandbox._dialect.Dialect`."""

    name = "ollama"

    def read_call(self, fields: Fields, request: Request, models: Models) -> Call:
        """See the protocol; besides raises LoadedOnly."""
        model = find_model(fields, models)
        check_options(fields)
        prompt = fields.optional_text("prompt")
        if not prompt:
            raise LoadedOnly(lambda _: {"embedding": []})
        name = fields.optional_text("model") or model.name
        return _call(model, name, (prompt,), dimensions=LONGEST, truncate=True)

    def whole(self, call: Call, answers: list[Answer], identity: Identity) -> JsonObject:
        assert isinstance(call, EmbeddingCall)
        return {"embedding": [*vector(call.texts[0])]}


def _call(
    model: SandboxModel, name: str, texts: tuple[str, ...], *, dimensions: int, truncate: bool
) -> EmbeddingCall:
    sizes = [token_count(text) for text in texts]
    if max(sizes) > model.context_tokens and not truncate:
        raise Refused(Failure(FailureKind.CONTEXT))
    return EmbeddingCall(
        model=model,
        model_name=name,
        stream=False,
        input_tokens=sum(min(size, model.context_tokens) for size in sizes),
        user_text="\n".join(texts),
        texts=texts,
        dimensions=dimensions,
    )


def _texts(value: JsonValue) -> tuple[str, ...]:
    match value:
        case None | "" | []:
            return ()
        case str():
            return (value,)
        case list():
            return tuple(map(_text, value))
        case _:
            raise _invalid()


def _text(value: JsonValue) -> str:
    if isinstance(value, str):
        return value
    raise _invalid()


def _invalid() -> Refused:
    return Refused(Failure(FailureKind.BAD_VALUE, "invalid input type"))
