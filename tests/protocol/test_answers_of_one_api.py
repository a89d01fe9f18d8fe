"""An answer that is read and written again in its own API says all that it said: whole and as a
stream, whatever of its API it says, and what only its server knows."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import pytest
from feature_samples import base
from hypothesis import given, settings
from hypothesis import strategies as st
from wire_answers import (
    OLD_EMBEDDINGS,
    Json,
    Value,
    chat_answers,
    chat_streams,
    completion_answers,
    completion_streams,
    events_of_message,
    events_of_response,
    messages_answers,
    ollama_answers,
    ollama_embeddings,
    ollama_streams,
    openai_embeddings,
    responses_answers,
)

from forebay.protocol.canonical.assembly import assemble, events_of
from forebay.protocol.canonical.embeddings import EmbeddingRequest
from forebay.protocol.canonical.events import StreamEvent
from forebay.protocol.dialects.anthropic import ANTHROPIC_MESSAGES
from forebay.protocol.dialects.base import Api, ReplyContext
from forebay.protocol.dialects.embeddings import EmbeddingContext
from forebay.protocol.dialects.ollama import OLLAMA_CHAT, OLLAMA_GENERATE
from forebay.protocol.dialects.openai import OPENAI_CHAT
from forebay.protocol.dialects.openai.responses._names import OPENAI_RESPONSES, RESPONSES
from forebay.protocol.dialects.registry import CODECS, EMBEDDING_CODECS
from forebay.protocol.framing import LineFramer, SseFramer
from forebay.protocol.jsontext import JsonObject, dumps, loads_object

OPENAI_COMPLETIONS = Api("openai.completions")
LINES = (OLLAMA_CHAT, OLLAMA_GENERATE)

WHOLE: dict[Api, st.SearchStrategy[Json]] = {
    OPENAI_CHAT: chat_answers(),
    OPENAI_COMPLETIONS: completion_answers(),
    OPENAI_RESPONSES: responses_answers(),
    ANTHROPIC_MESSAGES: messages_answers(),
    OLLAMA_CHAT: ollama_answers("content"),
    OLLAMA_GENERATE: ollama_answers("response"),
}
STREAMS: dict[Api, st.SearchStrategy[list[Json]]] = {
    OPENAI_CHAT: chat_streams(),
    OPENAI_COMPLETIONS: completion_streams(),
    OPENAI_RESPONSES: responses_answers().map(events_of_response),
    ANTHROPIC_MESSAGES: messages_answers().map(events_of_message),
    OLLAMA_CHAT: ollama_streams("content"),
    OLLAMA_GENERATE: ollama_streams("response"),
}
EMBEDDED = {
    "openai.embeddings": openai_embeddings(),
    "ollama.embed": ollama_embeddings(),
    "ollama.embeddings": OLD_EMBEDDINGS,
}
OUR_CLOCK = frozenset({"created_at", "completed_at", "sequence_number"})
"""When something was said is said anew."""


def context_of(api: Api, *, stream: bool) -> ReplyContext:
    request = base(CODECS[api].losses.own)
    if api == OPENAI_RESPONSES:
        include: JsonObject = {"include": ["reasoning.encrypted_content"]}
        request = replace(request, extras={RESPONSES: include}, max_output_tokens=None)
    return ReplyContext(
        request=replace(request, stream=stream, stream_usage=True),
        response_id="ab" * 14,
        created=1,
        input_tokens_estimate=3,
        elapsed_ns=lambda: 1,
    )


def lost(said: Value, again: Value, at: str = "") -> list[str]:
    """Where ``said`` says what ``again`` does not."""
    if said in (None, "", [], {}):
        return []
    match said:
        case dict():
            known = again if isinstance(again, dict) else {}
            return [
                place
                for name, value in said.items()
                if name not in OUR_CLOCK
                for place in lost(value, known.get(name), f"{at}.{name}")
            ]
        case list():
            if not isinstance(again, list) or len(again) != len(said):
                return [f"{at}: {said} is {again}"]
            pairs = enumerate(zip(said, again, strict=True))
            return [place for n, (a, b) in pairs for place in lost(a, b, f"{at}[{n}]")]
        case _:
            return [] if said == again else [f"{at}: {said!r} is {again!r}"]


def decoded(api: Api, frames: Iterable[Json]) -> list[StreamEvent]:
    decoder = CODECS[api].stream_decoder()
    if api in LINES:
        wire = b"".join(dumps(frame) + b"\n" for frame in frames)
    else:
        wire = b"".join(
            b"event: %b\ndata: %b\n\n" % (str(frame.get("type", "x")).encode(), dumps(frame))
            for frame in frames
        )
    return [*decoder.feed(wire), *decoder.close()]


def encoded(api: Api, events: Iterable[StreamEvent]) -> list[Json]:
    encoder = CODECS[api].stream_encoder(context_of(api, stream=True))
    wire = b"".join(encoder.encode(event) for event in events)
    if api in LINES:
        return [loads_object(line) for line in LineFramer().feed(wire)]
    frames = SseFramer().feed(wire)
    return [loads_object(frame.data) for frame in frames if frame.data != b"[DONE]"]


def heard(api: Api, frames: Iterable[Json]) -> Json:
    """What a client makes of a stream."""
    answer: Json = {}
    for frame in frames:
        match frame.get("type", ""):
            case "message_start":
                answer = {**frame["message"], "usage": dict(frame["message"]["usage"])}
                answer["content"] = []
            case "content_block_start":
                answer["content"].append(dict(frame["content_block"]))
            case "content_block_delta":
                _go_on_with_block(answer["content"][frame["index"]], frame["delta"])
            case "message_delta":
                rest = {name: frame[name] for name in frame if name not in ("type", "delta")}
                answer["usage"] |= rest.pop("usage")
                answer |= {**frame["delta"], **rest}
            case "response.completed" | "response.incomplete":
                answer["response"] = frame["response"]
            case "response.output_text.delta" | "response.refusal.delta":
                texts = answer.setdefault("texts", {})
                place = (frame["output_index"], frame["content_index"])
                texts[str(place)] = texts.get(str(place), "") + frame["delta"]
            case kind if not kind:
                _add(answer, frame)
    for block in answer.get("content", ()) if api == ANTHROPIC_MESSAGES else ():
        if "pieces" in block:
            block["input"] = loads_object("".join(block.pop("pieces")).encode())
    return answer


def _go_on_with_block(block: Json, delta: Json) -> None:
    match delta["type"]:
        case "input_json_delta":
            block.setdefault("pieces", []).append(delta["partial_json"])
        case "citations_delta":
            block["citations"] = [*(block.get("citations") or ()), delta["citation"]]
        case kind:
            name = kind.removesuffix("_delta")
            block[name] = block.get(name, "") + delta[name]


def _add(known: Json, more: Json) -> None:
    """As OpenAI's SDKs add up chunks; lines of Ollama add up alike."""
    for name, value in more.items():
        before = known.get(name)
        match before, value:
            case dict(), dict():
                _add(before, value)
            case list(), list() if any(isinstance(one, dict) and "index" in one for one in value):
                for one in value:
                    same = [each for each in before if each.get("index") == one["index"]]
                    _add(same[0], one) if same else before.append(_copied(one))
            case list(), list():
                before += value
            case str(), str() if name in ("content", "reasoning_content", "refusal", "text") or (
                name in ("arguments", "data", "transcript", "response", "thinking")
            ):
                known[name] = before + value
            case _, None:
                known.setdefault(name, None)
            case _:
                known[name] = _copied(value)


def _copied(value: Value) -> Value:
    return loads_object(dumps({"v": value}))["v"]


@pytest.mark.parametrize("api", WHOLE)
@settings(max_examples=40)
@given(data=st.data())
def test_a_whole_answer_loses_nothing(api: Api, data: st.DataObject) -> None:
    said = data.draw(WHOLE[api])
    codec = CODECS[api]
    response = codec.decode_response(_copied(said))
    again = codec.encode_response(response, context_of(api, stream=False))
    assert lost(said, again) == []
    assert codec.decode_response(_copied(again)).parts == response.parts


@pytest.mark.parametrize("api", STREAMS)
@settings(max_examples=40)
@given(data=st.data())
def test_a_stream_loses_nothing(api: Api, data: st.DataObject) -> None:
    frames = data.draw(STREAMS[api])
    again = encoded(api, decoded(api, frames))
    assert lost(heard(api, frames), heard(api, again)) == []


@pytest.mark.parametrize("api", STREAMS)
@settings(max_examples=40)
@given(data=st.data())
def test_a_stream_that_is_told_whole_loses_nothing(api: Api, data: st.DataObject) -> None:
    """What its deltas said piece by piece, citations and log probabilities, its parts say whole."""
    frames = data.draw(STREAMS[api])
    whole = assemble(decoded(api, frames))
    again = CODECS[api].encode_response(whole, context_of(api, stream=False))
    said = heard(api, frames)
    said = said["response"] if api == OPENAI_RESPONSES else said
    for choice in said.get("choices", ()):
        choice["message"] = choice.pop("delta", {})
    said.pop("object", None)
    assert lost(_without_places(said), _without_places(again)) == []


@pytest.mark.parametrize("api", WHOLE)
@settings(max_examples=40)
@given(data=st.data())
def test_a_whole_answer_that_is_told_as_a_stream_loses_nothing(
    api: Api, data: st.DataObject
) -> None:
    said = data.draw(WHOLE[api])
    events = events_of(CODECS[api].decode_response(_copied(said)))
    again = heard(api, encoded(api, events))
    again = again["response"] if api == OPENAI_RESPONSES else again
    for choice in again.get("choices", ()):
        if "delta" in choice:
            choice["message"] = choice.pop("delta")
    again["object"] = said.get("object")
    assert lost(_without_places(said), _without_places(again)) == []


def _without_places(value: Value) -> Value:
    """Without the numbers of calls, which only a stream has."""
    if isinstance(value, list):
        return [_without_places(one) for one in value]
    if not isinstance(value, dict):
        return value
    return {name: _without_places(one) for name, one in value.items() if name != "index"}


@pytest.mark.parametrize("api", EMBEDDED)
@settings(max_examples=30)
@given(data=st.data())
def test_embeddings_lose_nothing(api: str, data: st.DataObject) -> None:
    said = data.draw(EMBEDDED[api])
    codec = EMBEDDING_CODECS[Api(api)]
    request = EmbeddingRequest(model="m", inputs=("a",))
    context = EmbeddingContext(request=request, input_tokens_estimate=3, elapsed_ns=lambda: 1)
    again = codec.encode_response(codec.decode_response(_copied(said)), context)
    assert lost(said, again) == []
