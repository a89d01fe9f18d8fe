"""Asks for responses with the official ``openai`` client, and holds all answers to its types."""

from __future__ import annotations

import json
from typing import Any, cast

import openai
from openai.types.responses import Response, ResponseFunctionToolCall, ResponseStreamEvent
from sdk_wire import Wire, read_strictly

DELTAS = {
    "response.output_text.delta": "response.output_text.done",
    "response.refusal.delta": "response.refusal.done",
    "response.function_call_arguments.delta": "response.function_call_arguments.done",
    "response.reasoning_summary_text.delta": "response.reasoning_summary_text.done",
}
"""What comes in pieces, and the events that repeat it whole."""
WHOLE = ("text", "refusal", "arguments")
"""Under which name they do."""


class ResponsesClient:
    """One client over ``responses``."""

    def __init__(self, url: str, *, key: str = "any-key") -> None:
        self.wire = Wire()
        self.sdk = openai.OpenAI(
            base_url=f"{url}/v1",
            api_key=key,
            max_retries=0,
            http_client=openai.DefaultHttpxClient(
                trust_env=False, verify=False, event_hooks=self.wire.hooks
            ),
        )

    def ask(self, *, stream: bool, **arguments: Any) -> Response:  # noqa: ANN401 - as the SDK has it
        """The response; of a stream, what its last event tells."""
        if not stream:
            answer = self.sdk.responses.create(**arguments)
            check_response(json.loads(self.wire.last.body))
            return cast("Response", answer)
        events = list(self.sdk.responses.create(stream=True, **arguments))
        check_stream(self.wire.last.frames)
        return cast("Response", events[-1].response)


def calls_of(response: Response) -> list[ResponseFunctionToolCall]:
    return [item for item in response.output if isinstance(item, ResponseFunctionToolCall)]


def check_response(response: dict[str, Any]) -> None:
    """Raises pydantic.ValidationError: it is not of the SDK's type, to the last field."""
    # The SDK's type is generated and lacks it; the API has it.
    read_strictly(Response, json.dumps({k: v for k, v in response.items() if k != "store"}))


def check_stream(frames: list[tuple[str | None, str]]) -> list[dict[str, Any]]:
    """Hold a stream to the rules of this API: typed events, named and numbered without gaps, that
    begin with ``response.created``, tell of one response, and repeat whole what came in pieces
    (traps 83 and 84). The events."""
    events = [json.loads(data) for _, data in frames]
    assert [name for name, _ in frames] == [event["type"] for event in events]
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    assert events[0]["type"] == "response.created"
    assert [event["type"] for event in events].count("response.created") == 1
    lives = [event["response"] for event in events if "response" in event]
    assert len({response["id"] for response in lives}) == 1
    pieces: dict[tuple[object, ...], str] = {}
    for event in events:
        checked = event
        if "response" in event:
            told = {k: v for k, v in event["response"].items() if k != "store"}
            checked = {**event, "response": told}
        if event["type"] == "response.function_call_arguments.done":
            # Earlier versions of the SDK want it, the present one does not know it.
            checked = {k: v for k, v in event.items() if k != "name"}
        read_strictly(ResponseStreamEvent, json.dumps(checked))
        place = tuple(event.get(k) for k in ("item_id", "content_index", "summary_index"))
        if event["type"] in DELTAS:
            key = (DELTAS[event["type"]], *place)
            pieces[key] = pieces.get(key, "") + event["delta"]
        elif event["type"] in DELTAS.values():
            said = next(event[name] for name in WHOLE if name in event)
            assert pieces.get((event["type"], *place), "") == said
    last = events[-1]
    assert last["type"] in ("response.completed", "response.incomplete", "response.failed")
    done = [event["item"] for event in events if event["type"] == "response.output_item.done"]
    if last["type"] != "response.failed":
        assert last["response"]["output"] == done
        assert last["response"]["usage"]["total_tokens"] > 0
    return events
