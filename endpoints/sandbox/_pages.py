"""Which path speaks which dialect, and the pages that only tell about models."""

from __future__ import annotations

from typing import Final

from forebay.endpoints.sandbox._anthropic import Anthropic
from forebay.endpoints.sandbox._anthropic_counting import AnthropicCounting
from forebay.endpoints.sandbox._call import Identity
from forebay.endpoints.sandbox._dialect import Dialect, Models, read_object
from forebay.endpoints.sandbox._failures import Failure, FailureKind, Refused
from forebay.endpoints.sandbox._http import Request
from forebay.endpoints.sandbox._ollama import (
    VERSION,
    OllamaChat,
    OllamaGenerate,
    missing_body,
    running,
    show,
    tags,
)
from forebay.endpoints.sandbox._ollama_embeddings import OllamaEmbed, OllamaEmbeddings
from forebay.endpoints.sandbox._openai import OpenAI
from forebay.endpoints.sandbox._openai_completions import OpenAICompletions
from forebay.endpoints.sandbox._openai_embeddings import OpenAIEmbeddings
from forebay.endpoints.sandbox._openai_errors import OpenAIErrors
from forebay.endpoints.sandbox._responses import (
    Responses,
    ResponsesCompacting,
    ResponsesCounting,
)
from forebay.endpoints.sandbox._responses_kept import KeptResponses
from forebay.protocol.jsontext import JsonObject

_OPENAI = OpenAI()
_ANTHROPIC = Anthropic()
OLLAMA_CHAT = OllamaChat()

_COMPLETIONS = OpenAICompletions()
_EMBEDDINGS = OpenAIEmbeddings()

RESPONSES: Final = "/v1/responses"
RESPONSE_PATHS: Final = (
    RESPONSES,
    "/v1/responses/input_tokens",
    "/v1/responses/compact",
)
"""Those of the API whose answers are kept, each sandbox having its own."""


def response_calls(kept: KeptResponses) -> dict[str, Dialect]:
    """Who answers at each of :data:`RESPONSE_PATHS`."""
    dialects = (Responses(kept), ResponsesCounting(kept), ResponsesCompacting(kept))
    return dict(zip(RESPONSE_PATHS, dialects, strict=True))


CALLS: dict[str, Dialect] = {
    "/v1/chat/completions": _OPENAI,
    "/chat/completions": _OPENAI,
    "/v1/completions": _COMPLETIONS,
    "/completions": _COMPLETIONS,
    "/v1/embeddings": _EMBEDDINGS,
    "/embeddings": _EMBEDDINGS,
    "/v1/messages": _ANTHROPIC,
    "/v1/messages/count_tokens": AnthropicCounting(),
    "/api/chat": OLLAMA_CHAT,
    "/api/generate": OllamaGenerate(),
    "/api/embed": OllamaEmbed(),
    "/api/embeddings": OllamaEmbeddings(),
}
"""The other paths that ask a model for something."""

_READS = ("GET", "HEAD")
_OLLAMA_PAGES = ("/", "/api/tags", "/api/version", "/api/ps")


def dialect_of(request: Request) -> Dialect:
    """Who answers a request, even one that has no page."""
    known = CALLS.get(request.path)
    if known is not None:
        return known
    if request.path == "/" or request.path.startswith("/api/"):
        return OLLAMA_CHAT
    if request.path.startswith("/v1/messages") or "anthropic-version" in request.headers:
        return _ANTHROPIC
    return _OPENAI


def page(request: Request, models: Models, identity: Identity) -> JsonObject | bytes:
    """A page about models, as JSON or as plain text.

    Raises:
        Refused: there is no such page or model, or the method is wrong.
        FieldFault: a field of ``/api/show``.
    """
    path = request.path
    if path in CALLS or path in RESPONSE_PATHS:
        raise _wrong_method(request, ("POST",))
    if path == "/api/show":
        _check_method(request, ("POST",))
        if not request.body:
            raise missing_body()
        return show(read_object(request), models)
    if path in _OLLAMA_PAGES:
        _check_method(request, _READS)
        match path:
            case "/":
                return b"Ollama is running"
            case "/api/tags":
                return tags(models)
            case "/api/version":
                return {"version": VERSION}
            case _:
                return running(models, identity)
    rest = path.removeprefix("/v1")
    if rest == "/models" or rest.startswith("/models/"):
        _check_method(request, _READS)
        return _models_page(request, rest.removeprefix("/models").removeprefix("/"), models)
    raise Refused(
        Failure(FailureKind.NO_PATH, _path_message(request)),
    )


def _models_page(request: Request, name: str, models: Models) -> JsonObject:
    speaker = _ANTHROPIC if "anthropic-version" in request.headers else _OPENAI
    if not name:
        return speaker.model_list(models)
    model = models.get(name)
    if model is None:
        message = (
            f"model: {name}" if speaker is _ANTHROPIC else f"The model '{name}' does not exist"
        )
        raise Refused(Failure(FailureKind.NO_MODEL, message, "model"))
    return speaker.model_card(model)


def _check_method(request: Request, allowed: tuple[str, ...]) -> None:
    if request.method not in allowed:
        raise _wrong_method(request, allowed)


def _wrong_method(request: Request, allowed: tuple[str, ...]) -> Refused:
    message = ""
    if isinstance(dialect_of(request), OpenAIErrors):
        message = f"Not allowed to {request.method} on {request.path}. Use {' or '.join(allowed)}."
    return Refused(Failure(FailureKind.WRONG_METHOD, message))


def _path_message(request: Request) -> str:
    if not isinstance(dialect_of(request), OpenAIErrors):
        return ""
    return f"Invalid URL ({request.method} {request.path})"
