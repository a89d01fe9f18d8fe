"""The Ollama dialect: chat and generate, whole and streamed, and the pages about models."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial

from forebay.endpoints.sandbox._call import Answer, Call, Finish, Identity
from forebay.endpoints.sandbox._dialect import Models
from forebay.endpoints.sandbox._failures import Failure, FailureKind, Refused
from forebay.endpoints.sandbox._fields import Fields
from forebay.endpoints.sandbox._http import Piece, Request
from forebay.endpoints.sandbox._ollama_errors import OllamaErrors
from forebay.endpoints.sandbox._ollama_json import go_dumps
from forebay.endpoints.sandbox._ollama_reading import (
    LoadOnly,
    find_model,
    read_chat,
    read_generate,
)
from forebay.endpoints.sandbox._options import SandboxModel, Thinking
from forebay.endpoints.sandbox._vectors import LONGEST
from forebay.endpoints.sandbox._words import split_pieces
from forebay.protocol.jsontext import JsonObject, JsonValue

VERSION = "0.13.0"
_MODIFIED = "2026-09-21T00:00:00.000000Z"
_SIZE = 4_000_000_000
# Nothing is computed; the counters only have to be there and stay the same.
_PROMPT_NS = 1_000_000
_TOKEN_NS = 100_000


class LoadedOnly(Exception):
    """The request only loaded or unloaded a model: it has an answer, but nothing is generated."""

    def __init__(self, body: Callable[[Identity], JsonObject]) -> None:
        super().__init__()
        self.body = body
        """What to answer."""


class OllamaChat(OllamaErrors):
    """``/api/chat``; see :class:`~forebay.endpoints.sandbox._dialect.Dialect`."""

    name = "ollama"
    stream_type = b"application/x-ndjson"
    garbage_frame = b'{"model":"sandbox", <<garbage>>\n'

    def read_call(self, fields: Fields, request: Request, models: Models) -> Call:
        """See the protocol; besides raises LoadedOnly."""
        return self._call_of(read_chat(fields, models))

    def whole(self, call: Call, answers: list[Answer], identity: Identity) -> JsonObject:
        answer = answers[0]
        content = self._content(answer.text, answer.thinking, _tool_calls(answer, identity))
        return {**_start(call.model_name, identity), **content, **_ending(call, answer)}

    def _call_of(self, read: Call | LoadOnly) -> Call:
        if isinstance(read, LoadOnly):
            raise LoadedOnly(partial(self._loaded, read))
        return read

    def _loaded(self, load: LoadOnly, identity: Identity) -> JsonObject:
        return {
            **_start(load.model_name, identity),
            **self._content("", "", []),
            "done": True,
            "done_reason": "unload" if load.unloads else "load",
        }

    def pieces(self, call: Call, answers: list[Answer], identity: Identity) -> list[Piece]:
        answer = answers[0]
        start = _start(call.model_name, identity)
        contents = [self._content("", piece, []) for piece in split_pieces(answer.thinking)]
        contents += [self._content(piece, "", []) for piece in split_pieces(answer.text)]
        contents += [self._content("", "", [call]) for call in _tool_calls(answer, identity)]
        pieces = [
            Piece(_line({**start, **content, "done": False}), is_content=True)
            for content in contents
        ]
        last = {**start, **self._content("", "", []), **_ending(call, answer)}
        pieces.append(Piece(_line(last)))
        return pieces

    def _content(self, text: str, thinking: str, tool_calls: list[JsonValue]) -> JsonObject:
        message: JsonObject = {"role": "assistant", "content": text}
        if thinking:
            message["thinking"] = thinking
        if tool_calls:
            message["tool_calls"] = tool_calls
        return {"message": message}


class OllamaGenerate(OllamaChat):
    """``/api/generate``: the same answers, told in other fields."""

    def read_call(self, fields: Fields, request: Request, models: Models) -> Call:
        return self._call_of(read_generate(fields, models))

    def _content(self, text: str, thinking: str, tool_calls: list[JsonValue]) -> JsonObject:
        content: JsonObject = {"response": text}
        if thinking:
            content["thinking"] = thinking
        return content


def tags(models: Models) -> JsonObject:
    """``GET /api/tags``."""
    return {
        "models": [
            {
                **_entry(model),
                "modified_at": _MODIFIED,
                "details": {**_details(), "context_length": model.context_tokens},
            }
            for model in models.values()
        ]
    }


def running(models: Models, identity: Identity) -> JsonObject:
    """``GET /api/ps``."""
    expires_at = _timestamp(identity.wall + 300)
    return {
        "models": [
            {
                **_entry(model),
                "expires_at": expires_at,
                "size_vram": _SIZE,
                "context_length": model.context_tokens,
            }
            for model in models.values()
        ]
    }


def show(fields: Fields, models: Models) -> JsonObject:
    """``POST /api/show``.

    Raises:
        Refused: the model is missing or unknown.
        FieldFault: its name is no string.
    """
    model = find_model(fields, models)
    capabilities: list[JsonValue] = ["completion"]
    if model.tools:
        capabilities.append("tools")
    if model.vision:
        capabilities.append("vision")
    if model.thinking is not Thinking.NEVER:
        capabilities.append("thinking")
    return {
        "license": "",
        "modelfile": f"FROM {model.name}",
        "parameters": "",
        "template": "{{ .Prompt }}",
        "details": _details(),
        "model_info": {
            "general.architecture": "sandbox",
            "general.parameter_count": 0,
            "sandbox.context_length": model.context_tokens,
            "sandbox.embedding_length": LONGEST,
        },
        "capabilities": capabilities,
        "modified_at": _MODIFIED,
    }


def missing_body() -> Refused:
    """What Ollama says to a POST without a body."""
    return Refused(Failure(FailureKind.BAD_VALUE, "missing request body"))


def _start(model_name: str, identity: Identity) -> JsonObject:
    return {"model": model_name, "created_at": _timestamp(identity.wall)}


def _timestamp(wall: float) -> str:
    moment = datetime.fromtimestamp(wall, UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _tool_calls(answer: Answer, identity: Identity) -> list[JsonValue]:
    """Whole calls only: one that was cut short is not told."""
    return [
        {
            "id": f"call_{identity.hex}{at:03d}",
            "function": {"index": at, "name": use.name, "arguments": use.arguments},
        }
        for at, use in enumerate(answer.tool_uses)
        if use.arguments is not None
    ]


def _ending(call: Call, answer: Answer) -> JsonObject:
    prompt_ns = call.input_tokens * _PROMPT_NS
    output_ns = answer.output_tokens * _TOKEN_NS
    ending: JsonObject = {
        "done": True,
        "done_reason": "length" if answer.finish is Finish.LENGTH else "stop",
        "total_duration": prompt_ns + output_ns,
        "load_duration": 1_000,
        "prompt_eval_count": call.input_tokens,
        "prompt_eval_duration": prompt_ns,
    }
    if answer.output_tokens:
        # Go leaves out counters that are zero.
        ending["eval_count"] = answer.output_tokens
        ending["eval_duration"] = output_ns
    return ending


def _line(value: JsonObject) -> bytes:
    return go_dumps(value) + b"\n"


def _entry(model: SandboxModel) -> JsonObject:
    name = model.name if ":" in model.name else f"{model.name}:latest"
    return {
        "name": name,
        "model": name,
        "size": _SIZE,
        "digest": hashlib.sha256(model.name.encode()).hexdigest(),
        "details": _details(),
    }


def _details() -> JsonObject:
    return {
        "parent_model": "",
        "format": "sandbox",
        "family": "sandbox",
        "families": ["sandbox"],
        "parameter_size": "0",
        "quantization_level": "none",
    }
