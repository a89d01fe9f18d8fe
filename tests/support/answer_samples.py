"""For every feature of an answer one that says it."""

from __future__ import annotations

from dataclasses import replace

from forebay.protocol.canonical.answer_features import AnswerFeature
from forebay.protocol.canonical.events import AnswerPart, ChatResponse, FinishReason, Usage
from forebay.protocol.canonical.requests import (
    Dialect,
    Opaque,
    Refusal,
    Text,
    Thinking,
    ToolCall,
)
from forebay.protocol.jsontext import JsonObject

_CALL = ToolCall(id="call_1", name="look", arguments='{"a":"b"}')
_REMARKS = {"anthropic": "citations", "openai.responses": "annotations"}


def answer_of(feature: AnswerFeature, own: Dialect) -> ChatResponse:
    """As a server of the API with this key in ``extras`` says it."""
    plain = ChatResponse(
        id="",
        model="m",
        created=1,
        parts=(Text("Hello"),),
        finish=FinishReason.END,
        usage=Usage(input_uncached=10, output=20),
    )
    remark: JsonObject = {_REMARKS.get(own, "logprobs"): [{"a": 1}]}
    parts: dict[AnswerFeature, tuple[AnswerPart, ...]] = {
        AnswerFeature.REASONING: (Thinking(text="Hm"), Text("Hello")),
        AnswerFeature.SIGNATURES: (
            Thinking(text="Hm", signature="c2ln", extras={own: {}}),
            Text("Hello"),
        ),
        AnswerFeature.CALLS: (_CALL,),
        AnswerFeature.REFUSALS: (Refusal("No."),),
        AnswerFeature.OWN_PARTS: (Opaque(own, {"type": "x_call", "id": "x_1"}), Text("Hello")),
        AnswerFeature.REMARKS: (Text("Hello", {own: remark}),),
        AnswerFeature.ORDER: (_CALL, Text("Hello")),
    }
    ends = {
        AnswerFeature.CUT_SHORT: FinishReason.LENGTH,
        AnswerFeature.CONTEXT_FULL: FinishReason.CONTEXT_FULL,
        AnswerFeature.REFUSED: FinishReason.REFUSAL,
        AnswerFeature.PAUSED: FinishReason.PAUSE,
        AnswerFeature.CALLS: FinishReason.TOOL_CALLS,
        AnswerFeature.ORDER: FinishReason.TOOL_CALLS,
        AnswerFeature.STOP_SEQUENCE: FinishReason.STOP_SEQUENCE,
    }
    counts = {
        AnswerFeature.CACHE_READ: Usage(input_uncached=10, cache_read=5, output=20),
        AnswerFeature.CACHE_WRITE: Usage(input_uncached=10, cache_write=5, output=20),
        AnswerFeature.REASONING_COUNT: Usage(input_uncached=10, output=20, reasoning=5),
    }
    return replace(
        plain,
        parts=parts.get(feature, plain.parts),
        finish=ends.get(feature, plain.finish),
        usage=counts.get(feature, plain.usage),
        stop_sequence="END" if feature is AnswerFeature.STOP_SEQUENCE else None,
    )
