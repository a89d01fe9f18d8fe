"""The OpenAI dialect: chat completions, whole and streamed, and the model list."""

from __future__ import annotations

from forebay.endpoints.sandbox._call import Answer, Call, Finish, Identity, ToolUse, usage_of
from forebay.endpoints.sandbox._dialect import Models
from forebay.endpoints.sandbox._fields import Fields
from forebay.endpoints.sandbox._http import Piece, Request
from forebay.endpoints.sandbox._openai_errors import OpenAIErrors
from forebay.endpoints.sandbox._openai_reading import read_chat
from forebay.endpoints.sandbox._options import SandboxModel
from forebay.endpoints.sandbox._words import split_pieces
from forebay.protocol.jsontext import JsonObject, JsonValue, dumps

_CREATED = 1_790_000_000


class OpenAI(OpenAIErrors):
    """See :class:`~forebay.endpoints.sandbox._dialect.Dialect`."""

    name = "openai"
    stream_type = b"text/event-stream; charset=utf-8"
    garbage_frame = b'data: {"id":"chatcmpl-, <<garbage>>\n\n'

    def read_call(self, fields: Fields, request: Request, models: Models) -> Call:
        return read_chat(fields, models)

    def whole(self, call: Call, answers: list[Answer], identity: Identity) -> JsonObject:
        return {
            "id": f"chatcmpl-{identity.hex}",
            "object": "chat.completion",
            "created": int(identity.wall),
            "model": call.model_name,
            "choices": [
                {
                    "index": index,
                    "message": _message(answer, index, identity),
                    "logprobs": None,
                    "finish_reason": _finish_reason(call, answer),
                }
                for index, answer in enumerate(answers)
            ],
            "usage": _usage(call, answers),
            "service_tier": "default",
            "system_fingerprint": "fp_sandbox",
        }

    def pieces(self, call: Call, answers: list[Answer], identity: Identity) -> list[Piece]:
        writer = _ChunkWriter(call, identity)
        for index in range(len(answers)):
            writer.add(index, {"role": "assistant", "content": "", "refusal": None})
        streams = [_deltas(answer, index, identity) for index, answer in enumerate(answers)]
        # Choices interleave, as they do where they are sampled side by side.
        for step in range(max(map(len, streams))):
            for index, deltas in enumerate(streams):
                if step < len(deltas):
                    writer.add(index, deltas[step], is_content=True)
        for index, answer in enumerate(answers):
            writer.add(index, {}, finish=_finish_reason(call, answer))
        if call.includes_usage:
            writer.add_usage(_usage(call, answers))
        writer.pieces.append(Piece(b"data: [DONE]\n\n"))
        return writer.pieces

    def model_list(self, models: Models) -> JsonObject:
        return {"object": "list", "data": [self.model_card(model) for model in models.values()]}

    def model_card(self, model: SandboxModel) -> JsonObject:
        return {
            "id": model.name,
            "object": "model",
            "created": _CREATED,
            "owned_by": "forebay-sandbox",
            "context_length": model.context_tokens,
        }


class _ChunkWriter:
    """Chunks that share one id, time and model."""

    def __init__(self, call: Call, identity: Identity) -> None:
        self._shared: JsonObject = {
            "id": f"chatcmpl-{identity.hex}",
            "object": "chat.completion.chunk",
            "created": int(identity.wall),
            "model": call.model_name,
            "service_tier": "default",
            "system_fingerprint": "fp_sandbox",
        }
        self._usage: JsonObject = {"usage": None} if call.includes_usage else {}
        self.pieces: list[Piece] = []

    def add(
        self,
        index: int,
        delta: JsonObject,
        *,
        finish: str | None = None,
        is_content: bool = False,
    ) -> None:
        choice: JsonObject = {
            "index": index,
            "delta": delta,
            "logprobs": None,
            "finish_reason": finish,
        }
        self._add({**self._shared, "choices": [choice], **self._usage}, is_content)

    def add_usage(self, usage: JsonObject) -> None:
        self._add({**self._shared, "choices": [], "usage": usage}, False)

    def _add(self, chunk: JsonObject, is_content: bool) -> None:
        self.pieces.append(Piece(b"data: " + dumps(chunk) + b"\n\n", is_content))


def _message(answer: Answer, index: int, identity: Identity) -> JsonObject:
    message: JsonObject = {
        "role": "assistant",
        "content": None if answer.tool_uses else answer.text,
        "refusal": None,
    }
    if answer.thinking:
        message["reasoning_content"] = answer.thinking
    if answer.tool_uses:
        message["tool_calls"] = [
            _tool_call(use, index, at, identity, use.arguments_text)
            for at, use in enumerate(answer.tool_uses)
        ]
    return message


def _tool_call(use: ToolUse, index: int, at: int, identity: Identity, text: str) -> JsonObject:
    return {
        "id": f"call_{identity.hex}{index:03d}{at:03d}",
        "type": "function",
        "function": {"name": use.name, "arguments": text},
    }


def _deltas(answer: Answer, index: int, identity: Identity) -> list[JsonObject]:
    deltas: list[JsonObject] = []
    if answer.thinking:
        deltas += [{"reasoning_content": piece} for piece in split_pieces(answer.thinking)]
    if answer.text:
        deltas += [{"content": piece} for piece in split_pieces(answer.text)]
    for at, use in enumerate(answer.tool_uses):
        first = {"index": at, **_tool_call(use, index, at, identity, "")}
        deltas.append({"tool_calls": [first]})
        for piece in split_pieces(use.arguments_text):
            fragment: JsonObject = {"index": at, "function": {"arguments": piece}}
            deltas.append({"tool_calls": [fragment]})
    return deltas


def _finish_reason(call: Call, answer: Answer) -> str:
    match answer.finish:
        case Finish.END | Finish.STOP_SEQUENCE:
            return "stop"
        case Finish.LENGTH:
            return "length"
        case Finish.REFUSAL:
            return "content_filter"
        case Finish.TOOL_USE:
            # OpenAI says "stop" where the request named the function to call.
            return "tool_calls" if call.demand.name is None else "stop"


def _usage(call: Call, answers: list[Answer]) -> JsonObject:
    output_tokens, thinking_tokens = usage_of(answers)
    details: dict[str, JsonValue] = {"reasoning_tokens": thinking_tokens, "audio_tokens": 0}
    return {
        "prompt_tokens": call.input_tokens,
        "completion_tokens": output_tokens,
        "total_tokens": call.input_tokens + output_tokens,
        "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
        "completion_tokens_details": details,
    }
