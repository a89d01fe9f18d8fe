"""OpenAI's Responses API: responses whole and streamed, and the count of input tokens."""

from __future__ import annotations

from forebay.endpoints.sandbox._call import Answer, Call, CountCall, Finish, Identity, usage_of
from forebay.endpoints.sandbox._dialect import Models, NeverStreams
from forebay.endpoints.sandbox._failures import Failure
from forebay.endpoints.sandbox._fields import Fields
from forebay.endpoints.sandbox._http import Piece, Request
from forebay.endpoints.sandbox._openai_errors import OpenAIErrors
from forebay.endpoints.sandbox._responses_items import encrypt
from forebay.endpoints.sandbox._responses_reading import ResponsesCall, read_count, read_response
from forebay.endpoints.sandbox._words import split_pieces
from forebay.protocol.jsontext import JsonObject, JsonValue, dumps


class Responses(OpenAIErrors):
    """See :class:`~forebay.endpoints.sandbox._dialect.Dialect`."""

    name = "openai"
    stream_type = b"text/event-stream; charset=utf-8"
    garbage_frame = (
        b"event: response.output_text.delta\n"
        b'data: {"type":"response.output_text.delta", <<garbage>>\n\n'
    )

    def read_call(self, fields: Fields, request: Request, models: Models) -> Call:
        return read_response(fields, models)

    def whole(self, call: Call, answers: list[Answer], identity: Identity) -> JsonObject:
        assert isinstance(call, ResponsesCall)
        return _ended(call, answers[0], identity)

    def pieces(self, call: Call, answers: list[Answer], identity: Identity) -> list[Piece]:
        assert isinstance(call, ResponsesCall)
        writer = _EventWriter()
        begun = _response(call, identity, "in_progress")
        writer.add("response.created", {"response": begun})
        writer.add("response.in_progress", {"response": begun})
        ended = _ended(call, answers[0], identity)
        output = ended["output"]
        assert isinstance(output, list)
        for index, item in enumerate(output):
            assert isinstance(item, dict)
            writer.add_item(index, item)
        writer.add(f"response.{ended['status']}", {"response": ended})
        return writer.pieces

    def failure_frame(self, failure: Failure, identity: Identity) -> bytes:
        _, body = self.failure(failure, identity)
        return b"event: error\ndata: " + dumps({"type": "error", **body}) + b"\n\n"


class ResponsesCounting(NeverStreams, OpenAIErrors):
    """``/v1/responses/input_tokens``."""

    name = "openai"

    def read_call(self, fields: Fields, request: Request, models: Models) -> Call:
        return read_count(fields, models)

    def whole(self, call: Call, answers: list[Answer], identity: Identity) -> JsonObject:
        assert isinstance(call, CountCall)
        return {"object": "response.input_tokens", "input_tokens": call.counted_tokens}


class _EventWriter:
    """Events that are numbered without gaps."""

    def __init__(self) -> None:
        self.pieces: list[Piece] = []

    def add(self, kind: str, fields: JsonObject, *, is_content: bool = False) -> None:
        event: JsonObject = {"type": kind, "sequence_number": len(self.pieces), **fields}
        data = b"event: %b\ndata: %b\n\n" % (kind.encode(), dumps(event))
        self.pieces.append(Piece(data, is_content))

    def add_item(self, index: int, item: JsonObject) -> None:
        match item["type"]:
            case "message":
                self._add_message(index, item)
            case "reasoning":
                self._add_reasoning(index, item)
            case _:
                self._add_call(index, item)
        self.add("response.output_item.done", {"output_index": index, "item": item})

    def _begin(self, index: int, item: JsonObject) -> None:
        self.add("response.output_item.added", {"output_index": index, "item": item})

    def _add_message(self, index: int, item: JsonObject) -> None:
        self._begin(index, {**item, "status": "in_progress", "content": []})
        content = item["content"]
        assert isinstance(content, list)
        for at, part in enumerate(content):
            assert isinstance(part, dict)
            place: JsonObject = {
                "item_id": item["id"],
                "output_index": index,
                "content_index": at,
            }
            is_text = part["type"] == "output_text"
            name, key = ("output_text", "text") if is_text else ("refusal", "refusal")
            logprobs: JsonObject = {"logprobs": []} if is_text else {}
            self.add("response.content_part.added", {**place, "part": {**part, key: ""}})
            for piece in split_pieces(str(part[key])):
                delta: JsonObject = {**place, "delta": piece, **logprobs}
                self.add(f"response.{name}.delta", delta, is_content=True)
            self.add(f"response.{name}.done", {**place, key: part[key], **logprobs})
            self.add("response.content_part.done", {**place, "part": part})

    def _add_reasoning(self, index: int, item: JsonObject) -> None:
        self._begin(index, {"id": item["id"], "type": "reasoning", "summary": []})
        summary = item["summary"]
        assert isinstance(summary, list)
        for at, part in enumerate(summary):
            assert isinstance(part, dict)
            place: JsonObject = {
                "item_id": item["id"],
                "output_index": index,
                "summary_index": at,
            }
            self.add(
                "response.reasoning_summary_part.added", {**place, "part": {**part, "text": ""}}
            )
            for piece in split_pieces(str(part["text"])):
                delta: JsonObject = {**place, "delta": piece}
                self.add("response.reasoning_summary_text.delta", delta, is_content=True)
            self.add("response.reasoning_summary_text.done", {**place, "text": part["text"]})
            self.add("response.reasoning_summary_part.done", {**place, "part": part})

    def _add_call(self, index: int, item: JsonObject) -> None:
        self._begin(index, {**item, "status": "in_progress", "arguments": ""})
        place: JsonObject = {"item_id": item["id"], "output_index": index}
        for piece in split_pieces(str(item["arguments"])):
            delta: JsonObject = {**place, "delta": piece}
            self.add("response.function_call_arguments.delta", delta, is_content=True)
        self.add(
            "response.function_call_arguments.done",
            {**place, "arguments": item["arguments"]},
        )


def _response(call: ResponsesCall, identity: Identity, status: str) -> JsonObject:
    """A response before its first item."""
    return {
        "id": f"resp_{identity.hex}",
        "object": "response",
        "created_at": int(identity.wall),
        "completed_at": None,
        "status": status,
        "error": None,
        "incomplete_details": None,
        "model": call.model_name,
        "output": [],
        "usage": None,
        **call.echo,
    }


def _ended(call: ResponsesCall, answer: Answer, identity: Identity) -> JsonObject:
    cut = answer.finish is Finish.LENGTH
    response = _response(call, identity, "incomplete" if cut else "completed")
    if cut:
        response["incomplete_details"] = {"reason": "max_output_tokens"}
    else:
        response["completed_at"] = int(identity.wall)
    response["output"] = _items(call, answer, identity, "incomplete" if cut else "completed")
    response["usage"] = _usage(call, answer)
    return response


def _items(
    call: ResponsesCall, answer: Answer, identity: Identity, last_status: str
) -> list[JsonValue]:
    """The items of an answer; the last one that has a status has ``last_status``."""
    items: list[JsonObject] = []

    def item_id(prefix: str) -> str:
        return f"{prefix}_{identity.hex}{len(items):03d}"

    if answer.thinking:
        items.append(_reasoning(call, answer.thinking, item_id("rs")))
    if answer.text:
        items.append(_message(answer, item_id("msg")))
    for use in answer.tool_uses:
        items.append(
            {
                "id": item_id("fc"),
                "type": "function_call",
                "status": "completed",
                "call_id": f"call_{identity.hex}{len(items):03d}",
                "name": use.name,
                "arguments": use.arguments_text,
            }
        )
    if items and "status" in items[-1]:
        items[-1]["status"] = last_status
    return [*items]


def _reasoning(call: ResponsesCall, thinking: str, item_id: str) -> JsonObject:
    summary: list[JsonValue] = []
    if call.summarizes:
        summary.append({"type": "summary_text", "text": thinking})
    item: JsonObject = {"id": item_id, "type": "reasoning", "summary": summary}
    if call.encrypts:
        item["encrypted_content"] = encrypt(thinking)
    return item


def _message(answer: Answer, item_id: str) -> JsonObject:
    part: JsonObject = {
        "type": "output_text",
        "text": answer.text,
        "annotations": [],
        "logprobs": [],
    }
    if answer.finish is Finish.REFUSAL:
        part = {"type": "refusal", "refusal": answer.text}
    return {
        "id": item_id,
        "type": "message",
        "status": "completed",
        "role": "assistant",
        "content": [part],
    }


def _usage(call: Call, answer: Answer) -> JsonObject:
    output_tokens, thinking_tokens = usage_of([answer])
    return {
        "input_tokens": call.input_tokens,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": output_tokens,
        "output_tokens_details": {"reasoning_tokens": thinking_tokens},
        "total_tokens": call.input_tokens + output_tokens,
    }
