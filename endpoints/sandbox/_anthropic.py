"""The Anthropic dialect: messages, whole and streamed, and the model list."""

from __future__ import annotations

from forebay.endpoints.sandbox._anthropic_errors import AnthropicErrors
from forebay.endpoints.sandbox._anthropic_reading import read_messages
from forebay.endpoints.sandbox._anthropic_turns import sign
from forebay.endpoints.sandbox._call import Answer, Call, Finish, Identity
from forebay.endpoints.sandbox._dialect import Models
from forebay.endpoints.sandbox._fields import Fields
from forebay.endpoints.sandbox._http import Piece, Request
from forebay.endpoints.sandbox._options import SandboxModel, Thinking
from forebay.endpoints.sandbox._words import split_pieces
from forebay.protocol.jsontext import JsonObject, JsonValue, dumps

_STOP_REASONS = {
    Finish.END: "end_turn",
    Finish.LENGTH: "max_tokens",
    Finish.STOP_SEQUENCE: "stop_sequence",
    Finish.TOOL_USE: "tool_use",
    Finish.REFUSAL: "refusal",
}


class Anthropic(AnthropicErrors):
    """See :class:`~forebay.endpoints.sandbox._dialect.Dialect`."""

    name = "anthropic"
    stream_type = b"text/event-stream; charset=utf-8"
    garbage_frame = (
        b'event: content_block_delta\ndata: {"type":"content_block_delta", <<garbage>>\n\n'
    )

    def read_call(self, fields: Fields, request: Request, models: Models) -> Call:
        return read_messages(fields, request, models)

    def whole(self, call: Call, answers: list[Answer], identity: Identity) -> JsonObject:
        answer = answers[0]
        message = _message(call, identity)
        message["content"] = _content(call, answer, identity)
        message.update(_ending(answer))
        message["usage"] = _usage(call, answer)
        return message

    def pieces(self, call: Call, answers: list[Answer], identity: Identity) -> list[Piece]:
        answer = answers[0]
        message = _message(call, identity)
        message["usage"] = {**_usage(call, answer), "output_tokens": 1}
        pieces = [_frame("message_start", {"message": message}), _frame("ping", {})]
        index = 0
        if answer.thinking:
            deltas: list[JsonObject] = []
            if not call.hides_thinking:
                deltas = [
                    {"type": "thinking_delta", "thinking": piece}
                    for piece in split_pieces(answer.thinking)
                ]
            deltas.append({"type": "signature_delta", "signature": sign(answer.thinking)})
            start: JsonObject = {"type": "thinking", "thinking": "", "signature": ""}
            pieces += _block(index, start, deltas)
            index += 1
        if answer.text:
            deltas = [{"type": "text_delta", "text": one} for one in split_pieces(answer.text)]
            pieces += _block(index, {"type": "text", "text": ""}, deltas)
            index += 1
        for at, use in enumerate(answer.tool_uses):
            deltas = [{"type": "input_json_delta", "partial_json": ""}]
            if use.arguments != {}:
                deltas += [
                    {"type": "input_json_delta", "partial_json": piece}
                    for piece in split_pieces(use.arguments_text)
                ]
            start = {
                "type": "tool_use",
                "id": _use_id(identity, at),
                "name": use.name,
                "input": {},
            }
            pieces += _block(index, start, deltas)
            index += 1
        pieces.append(
            _frame(
                "message_delta",
                {"delta": _ending(answer), "usage": {"output_tokens": answer.output_tokens}},
            )
        )
        pieces.append(_frame("message_stop", {}))
        return pieces

    def model_list(self, models: Models) -> JsonObject:
        names = list(models)
        return {
            "data": [self.model_card(model) for model in models.values()],
            "has_more": False,
            "first_id": names[0],
            "last_id": names[-1],
        }

    def model_card(self, model: SandboxModel) -> JsonObject:
        return {
            "type": "model",
            "id": model.name,
            "display_name": model.name.replace("-", " ").title(),
            "created_at": "2026-09-21T00:00:00Z",
            "max_input_tokens": model.context_tokens,
            "max_tokens": model.max_output_tokens,
            "capabilities": {
                "image_input": {"supported": model.vision},
                "structured_outputs": {"supported": True},
                "thinking": {"supported": model.thinking is not Thinking.NEVER},
            },
        }


def _message(call: Call, identity: Identity) -> JsonObject:
    """A message before its first block."""
    return {
        "id": f"msg_{identity.hex}",
        "type": "message",
        "role": "assistant",
        "model": call.model_name,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
    }


def _content(call: Call, answer: Answer, identity: Identity) -> list[JsonValue]:
    blocks: list[JsonValue] = []
    if answer.thinking:
        blocks.append(
            {
                "type": "thinking",
                "thinking": "" if call.hides_thinking else answer.thinking,
                "signature": sign(answer.thinking),
            }
        )
    if answer.text:
        blocks.append({"type": "text", "text": answer.text})
    for at, use in enumerate(answer.tool_uses):
        blocks.append(
            {
                "type": "tool_use",
                "id": _use_id(identity, at),
                "name": use.name,
                "input": use.arguments or {},
            }
        )
    return blocks


def _use_id(identity: Identity, at: int) -> str:
    return f"toolu_{identity.hex}{at:03d}"


def _ending(answer: Answer) -> JsonObject:
    ending: JsonObject = {
        "stop_reason": _STOP_REASONS[answer.finish],
        "stop_sequence": answer.stop_sequence,
    }
    if answer.finish is Finish.REFUSAL:
        ending["stop_details"] = {"type": "refusal", "category": None, "explanation": None}
    return ending


def _usage(call: Call, answer: Answer) -> JsonObject:
    return {
        "input_tokens": call.input_tokens,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 0,
        "output_tokens": answer.output_tokens,
        "service_tier": "standard",
    }


def _block(index: int, start: JsonObject, deltas: list[JsonObject]) -> list[Piece]:
    pieces = [_frame("content_block_start", {"index": index, "content_block": start})]
    pieces += [
        _frame("content_block_delta", {"index": index, "delta": delta}, is_content=True)
        for delta in deltas
    ]
    pieces.append(_frame("content_block_stop", {"index": index}))
    return pieces


def _frame(name: str, data: JsonObject, *, is_content: bool = False) -> Piece:
    body = dumps({"type": name, **data})
    return Piece(b"event: %b\ndata: %b\n\n" % (name.encode(), body), is_content)
