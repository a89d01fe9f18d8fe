"""The stream of a response: events that are named, and numbered without gaps."""

from __future__ import annotations

from forebay.endpoints.sandbox._call import Answer, Identity
from forebay.endpoints.sandbox._http import Piece
from forebay.endpoints.sandbox._responses_objects import begun_response, ended_response
from forebay.endpoints.sandbox._responses_reading import ResponsesCall
from forebay.endpoints.sandbox._words import split_pieces
from forebay.protocol.jsontext import JsonObject, dumps


def response_events(
    call: ResponsesCall, answer: Answer, identity: Identity, *, queued_seconds: float = 0.0
) -> list[Piece]:
    """All events, the number of each being its place in the list.

    Args:
        queued_seconds: how long a response in the background waits to be begun.
    """
    writer = _EventWriter()
    if call.in_background:
        queued: JsonObject = {"response": begun_response(call, identity, "queued")}
        writer.add("response.created", queued)
        writer.add("response.queued", queued)
    begun: JsonObject = {"response": begun_response(call, identity, "in_progress")}
    if not call.in_background:
        writer.add("response.created", begun)
    writer.add("response.in_progress", begun, pause=queued_seconds)
    ended = ended_response(call, answer, identity)
    output = ended["output"]
    assert isinstance(output, list)
    for index, item in enumerate(output):
        assert isinstance(item, dict)
        writer.add_item(index, item)
    writer.add(f"response.{ended['status']}", {"response": ended})
    return writer.pieces


class _EventWriter:
    def __init__(self) -> None:
        self.pieces: list[Piece] = []

    def add(
        self, kind: str, fields: JsonObject, *, is_content: bool = False, pause: float = 0.0
    ) -> None:
        event: JsonObject = {"type": kind, "sequence_number": len(self.pieces), **fields}
        data = b"event: %b\ndata: %b\n\n" % (kind.encode(), dumps(event))
        self.pieces.append(Piece(data, is_content, pause))

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
            {**place, "name": item["name"], "arguments": item["arguments"]},
        )
