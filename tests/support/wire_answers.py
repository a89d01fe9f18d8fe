"""Answers as servers of each API write them, generated: every field that the API's reference and
its SDKs' types list, and fields that nobody knows, at every level."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

from hypothesis import strategies as st

Value: TypeAlias = Any
"""Of JSON."""
Json: TypeAlias = dict[str, Value]
JsonObjects: TypeAlias = st.SearchStrategy[Json]

OWN = st.just({"a": {"b": "é"}, "n": 1, "is": True})
"""A value of a field that only its server knows. The same wherever it is said: which of two would
stand is nobody's to say."""
WORDS = st.sampled_from(["Hi", "Grüße ", "世界", " \n", "a\u2028b", "{}"])
COUNT = st.integers(1, 99)
ARGUMENTS = st.sampled_from(["{}", '{"a":1}', '{"city":"Zürich","n":[1,2]}'])


def an_object(
    fields: Mapping[str, Any] | None = None, **optional: st.SearchStrategy[Any]
) -> JsonObjects:
    """
    Args:
        fields: always there; constants, or strategies.
        optional: there or not.
    """
    always = {
        name: value if isinstance(value, st.SearchStrategy) else st.just(value)
        for name, value in (fields or {}).items()
    }
    return st.fixed_dictionaries(always, optional={**optional, "x_own": OWN})


def some(of: st.SearchStrategy[Any], most: int = 2) -> st.SearchStrategy[list[Any]]:
    return st.lists(of, min_size=1, max_size=most)


# OpenAI

PROBABLE = an_object({"token": WORDS, "logprob": -0.5, "bytes": [72, 105]})
TOKEN = st.builds(lambda one, top: {**one, "top_logprobs": top}, PROBABLE, st.lists(PROBABLE))
LOGPROBS = an_object({"content": some(TOKEN)}, refusal=some(TOKEN))
ANNOTATION = an_object(
    {
        "type": "url_citation",
        "url_citation": an_object(
            {"start_index": 0, "end_index": 2, "url": "https://a.test", "title": "T"}
        ),
    }
)
TIERS = st.sampled_from(["default", "flex", "priority"])


@st.composite
def openai_usage(draw: st.DrawFn, words: tuple[str, str] = ("prompt", "completion")) -> Json:
    read, written, rest, thought, said = (draw(COUNT) for _ in range(5))
    prompt, completion = read + written + rest, thought + said
    into, out = (f"{word}_tokens" for word in words)
    return {
        into: prompt,
        out: completion,
        "total_tokens": prompt + completion,
        f"{into}_details": draw(
            an_object(
                {"cached_tokens": read},
                cache_write_tokens=st.just(written),
                audio_tokens=COUNT,
                image_tokens=COUNT,
                text_tokens=COUNT,
            )
        ),
        f"{out}_details": draw(
            an_object(
                {"reasoning_tokens": thought},
                audio_tokens=COUNT,
                text_tokens=COUNT,
                accepted_prediction_tokens=COUNT,
                rejected_prediction_tokens=COUNT,
            )
        ),
        **draw(an_object({}, cost=st.just(0.25))),
    }


def _tool_call(number: int) -> JsonObjects:
    function = an_object({"name": f"f{number}", "arguments": ARGUMENTS})
    custom = an_object({"name": f"c{number}", "input": WORDS})
    calls = an_object({"id": f"call_{number}", "type": "function", "function": function})
    return calls | an_object({"id": f"call_{number}", "type": "custom", "custom": custom})


AUDIO = an_object(
    {"id": "audio_1", "data": "UklGRg==", "expires_at": 1_795_343_400, "transcript": "Hi"}
)


def openai_body(kind: str, ident: str = "chatcmpl-1") -> JsonObjects:
    """What a whole answer and each chunk of one say around their choices."""
    return an_object(
        {"id": ident, "object": kind, "created": 1_795_343_400, "model": "m"},
        service_tier=TIERS,
        system_fingerprint=st.just("fp_1"),
    )


@st.composite
def chat_answers(draw: st.DrawFn) -> Json:
    message = draw(
        an_object(
            {"role": "assistant"},
            reasoning_content=WORDS,
            annotations=some(ANNOTATION),
            audio=AUDIO,
        )
    )
    calls = [draw(_tool_call(number)) for number in range(draw(st.integers(0, 2)))]
    match draw(st.sampled_from(["text", "refusal", "silence"])):
        case "text":
            message |= {"content": draw(WORDS), "refusal": None}
        case "refusal" if not calls:
            message |= {"content": None, "refusal": draw(WORDS)}
        case _:
            message |= {"content": None, "refusal": None}
    if calls:
        message["tool_calls"] = calls
    reason = draw(st.sampled_from(["tool_calls" if calls else "stop", "length"]))
    more = {} if calls or reason == "length" else {"stop_reason": st.sampled_from(["END", 7])}
    choice = draw(
        an_object({"index": 0, "finish_reason": reason}, logprobs=LOGPROBS, **more),
    )
    return {
        **draw(openai_body("chat.completion")),
        "choices": [{**choice, "message": message}],
        "usage": draw(openai_usage()),
    }


@st.composite
def chat_streams(draw: st.DrawFn) -> list[Json]:
    body = draw(openai_body("chat.completion.chunk"))

    def chunk(delta: Json, finish: str | None = None, **more: Value) -> Json:
        choice = {"index": 0, "delta": delta, "finish_reason": finish, **more}
        return {**body, "choices": [choice]}

    def spoken(field: str) -> Json:
        delta = draw(an_object({field: WORDS}))
        return chunk(delta, **draw(an_object({}, logprobs=LOGPROBS)))

    audio = an_object({"id": "audio_1"}, data=st.just("UklG"), transcript=WORDS)
    chunks = [chunk(draw(an_object({"role": "assistant", "content": ""})))]
    field = draw(st.sampled_from(["content", "refusal"]))
    chunks += [spoken("reasoning_content") for _ in range(draw(st.integers(0, 2)))]
    chunks += [spoken(field) for _ in range(draw(st.integers(0, 3)))]
    chunks += [chunk({"audio": draw(audio)}) for _ in range(draw(st.integers(0, 2)))]
    chunks += [
        chunk({"annotations": draw(some(ANNOTATION))}) for _ in range(draw(st.integers(0, 1)))
    ]
    calls = draw(st.integers(0, 2)) if field == "content" else 0
    for number in range(calls):
        function = draw(an_object({"name": f"f{number}", "arguments": ""}))
        call = draw(an_object({"index": number, "id": f"call_{number}", "type": "function"}))
        chunks.append(chunk({"tool_calls": [{**call, "function": function}]}))
        for piece in ('{"a"', ":1}"):
            fragment = {"index": number, "function": {"arguments": piece}}
            chunks.append(chunk({"tool_calls": [fragment]}))
    reason = draw(st.sampled_from(["tool_calls" if calls else "stop", "length"]))
    last = chunk({}, reason, **draw(an_object({})))
    counts = {**body, "choices": [], "usage": draw(openai_usage()), **draw(an_object({}))}
    return [*chunks, {**last, **draw(an_object({}, timings=OWN))}, counts]


COMPLETION_LOGPROBS = an_object(
    {
        "tokens": ["Hi"],
        "token_logprobs": [-0.5],
        "top_logprobs": [{"Hi": -0.5}],
        "text_offset": [0],
    }
)


@st.composite
def completion_answers(draw: st.DrawFn) -> Json:
    reason = draw(st.sampled_from(["stop", "length", "content_filter"]))
    choice = draw(
        an_object(
            {"index": 0, "finish_reason": reason, "text": WORDS}, logprobs=COMPLETION_LOGPROBS
        )
    )
    body = draw(openai_body("text_completion", "cmpl-1"))
    return {**body, "choices": [choice], "usage": draw(openai_usage())}


@st.composite
def completion_streams(draw: st.DrawFn) -> list[Json]:
    body = draw(openai_body("text_completion", "cmpl-1"))
    piece = an_object(
        {"index": 0, "finish_reason": None, "text": WORDS}, logprobs=COMPLETION_LOGPROBS
    )
    reason = draw(st.sampled_from(["stop", "length", "content_filter"]))
    last = draw(an_object({"index": 0, "finish_reason": reason, "text": ""}))
    chunks = [{**body, "choices": [each]} for each in [*draw(some(piece, 3)), last]]
    return [*chunks, {**body, "choices": [], "usage": draw(openai_usage())}]


@st.composite
def openai_embeddings(draw: st.DrawFn) -> Json:
    vector = draw(st.sampled_from([[0.5, -1.0], [0.25]]))
    tokens = draw(COUNT)
    return {
        **draw(an_object({"object": "list", "model": "m"})),
        "data": [{"object": "embedding", "index": 0, "embedding": vector}],
        "usage": {
            "prompt_tokens": tokens,
            "total_tokens": tokens,
            **draw(an_object({}, prompt_tokens_details=an_object({"image_tokens": COUNT}))),
        },
    }


# Responses

OUTPUT_TEXT = an_object(
    {"type": "output_text", "text": WORDS},
    annotations=some(an_object({"type": "file_citation", "file_id": "f", "index": 0})),
    logprobs=some(TOKEN),
)
REFUSAL = an_object({"type": "refusal", "refusal": WORDS})


def _items(number: int) -> JsonObjects:
    status = {"status": "completed"}
    message = an_object(
        {"id": f"msg_{number}", "type": "message", "role": "assistant", **status}
        | {"content": some(OUTPUT_TEXT) | some(REFUSAL, 1)},
        phase=st.sampled_from(["commentary", "final_answer"]),
    )
    call = an_object(
        {"id": f"fc_{number}", "type": "function_call", "call_id": f"call_{number}", **status}
        | {"name": "f", "arguments": ARGUMENTS},
        caller=an_object({"type": "direct"}),
    )
    summary = an_object({"type": "summary_text", "text": WORDS})
    thoughts = an_object({"type": "reasoning_text", "text": WORDS})
    reasoning = an_object(
        {"id": f"rs_{number}", "type": "reasoning", "summary": st.lists(summary, max_size=2)}
        | status,
        content=some(thoughts),
        encrypted_content=st.just("gAAAA"),
    )
    search = an_object(
        {"id": f"ws_{number}", "type": "web_search_call", **status},
        action=an_object({"type": "search", "query": "q"}),
    )
    return message | call | reasoning | search


@st.composite
def responses_answers(draw: st.DrawFn) -> Json:
    reason = draw(
        st.sampled_from([None, "max_output_tokens", "content_filter", "max_messages", "steered"])
    )
    output = [draw(_items(number)) for number in range(draw(st.integers(1, 3)))]
    refuses = any("refusal" in part for item in output for part in item.get("content", ()))
    if refuses and reason == "content_filter":
        reason = None  # a refusal says it all
    if reason is not None and "status" in output[-1]:
        output[-1]["status"] = "incomplete"
    return {
        **draw(
            an_object(
                {"id": "resp_1", "object": "response", "created_at": 1_795_343_400, "model": "m"},
                service_tier=TIERS,
                moderation=an_object(),
                prompt_cache_retention=st.just("24h"),
                reasoning=an_object({"effort": "medium", "summary": "auto"}),
                text=an_object({"format": {"type": "text"}, "verbosity": "medium"}),
                temperature=st.just(1.0),
                top_p=st.just(0.98),
                metadata=st.just({"a": "b"}),
                context_management=some(an_object({"type": "compaction"})),
            )
        ),
        "status": "completed" if reason is None else "incomplete",
        "error": None,
        "incomplete_details": None if reason is None else {"reason": reason},
        "output": output,
        "usage": draw(openai_usage(("input", "output"))),
    }


def events_of_response(response: Json) -> list[Json]:
    """How OpenAI streams it."""
    begun = {**response, "status": "in_progress", "output": [], "usage": None}
    begun["incomplete_details"] = None
    events: list[Json] = [
        {"type": "response.created", "response": begun},
        {"type": "response.in_progress", "response": begun},
    ]
    for at, item in enumerate(response["output"]):
        place = {"output_index": at, "item_id": item["id"]}
        bare = {**item, "status": "in_progress"}
        match item["type"]:
            case "message":
                events.append(_item("added", at, {**bare, "content": []}))
                for number, part in enumerate(item["content"]):
                    kind = part["type"]
                    text = part.get("text", part.get("refusal"))
                    where = {**place, "content_index": number}
                    events.append(
                        {"type": f"response.{kind}.delta", "delta": text, "logprobs": [], **where}
                    )
                    events.append({"type": "response.content_part.done", "part": part, **where})
            case "function_call":
                events.append(_item("added", at, {**bare, "arguments": ""}))
                name = "response.function_call_arguments.delta"
                events.append({"type": name, "delta": item["arguments"], **place})
            case "reasoning":
                events.append(_item("added", at, {**bare, "summary": [], "content": []}))
            case _:
                events.append(_item("added", at, bare))
        events.append(_item("done", at, item))
    events.append({"type": f"response.{response['status']}", "response": response})
    return [{**event, "sequence_number": number} for number, event in enumerate(events)]


def _item(phase: str, at: int, item: Json) -> Json:
    return {"type": f"response.output_item.{phase}", "output_index": at, "item": item}


# Anthropic

CITATION = an_object({"type": "char_location", "cited_text": "a", "document_index": 0})
TEXT_BLOCK = an_object({"type": "text", "text": WORDS}, citations=some(CITATION))
BLOCKS = st.one_of(
    TEXT_BLOCK,
    an_object({"type": "thinking", "thinking": WORDS, "signature": "c2ln"}),
    an_object({"type": "redacted_thinking", "data": "ZGF0YQ=="}),
    an_object({"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search"}).map(
        lambda block: {**block, "input": {"query": "q"}}
    ),
    an_object({"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1"}).map(
        lambda block: {**block, "content": [{"type": "web_search_result", "url": "u"}]}
    ),
)


def _tool_use(number: int) -> JsonObjects:
    return an_object(
        {"type": "tool_use", "id": f"toolu_{number}", "name": "f"},
        caller=an_object({"type": "direct"}),
    ).map(lambda block: {**block, "input": {"a": [1, "é"]}})


@st.composite
def messages_answers(draw: st.DrawFn) -> Json:
    content = draw(st.lists(BLOCKS, min_size=1, max_size=3))
    calls = [draw(_tool_use(number)) for number in range(draw(st.integers(0, 2)))]
    reasons = ["max_tokens", "model_context_window_exceeded"]
    if calls:
        reasons.append("tool_use")
    else:
        reasons += ["end_turn", "stop_sequence", "pause_turn", "refusal", "compaction"]
    reason = draw(st.sampled_from(reasons))
    ttl = {"ephemeral_5m_input_tokens": 1, "ephemeral_1h_input_tokens": 2}
    return {
        **draw(
            an_object(
                {"id": "msg_1", "type": "message", "role": "assistant", "model": "m"},
                container=an_object({"id": "c", "expires_at": "2026-11-23T00:00:00Z"}),
                context_management=an_object({"applied_edits": [{"type": "clear", "n": 1}]}),
                diagnostics=an_object({"a": 1}),
                stop_details=an_object({"type": "refusal", "category": "x", "explanation": "y"}),
            )
        ),
        "content": [*content, *calls],
        "stop_reason": reason,
        "stop_sequence": "END" if reason == "stop_sequence" else None,
        "usage": draw(
            an_object(
                {
                    "input_tokens": COUNT,
                    "output_tokens": st.integers(50, 99),
                    "cache_creation_input_tokens": COUNT,
                    "cache_read_input_tokens": COUNT,
                },
                output_tokens_details=st.just({"thinking_tokens": 7}),
                cache_creation=an_object(ttl),
                server_tool_use=an_object({"web_search_requests": 1, "web_fetch_requests": 2}),
                service_tier=st.sampled_from(["standard", "priority"]),
                inference_geo=st.just("us"),
                speed=st.just("fast"),
                iterations=st.just([{"type": "message", "output_tokens": 3}]),
            )
        ),
    }


def events_of_message(message: Json) -> list[Json]:
    """How Anthropic streams it."""
    late = {"stop_reason", "stop_sequence", "stop_details", "container"}
    start = {name: value for name, value in message.items() if name not in late}
    start.pop("context_management", None)
    start |= {"content": [], "stop_reason": None, "stop_sequence": None}
    start["usage"] = {**message["usage"], "output_tokens": 1}
    start["usage"].pop("output_tokens_details", None)
    events: list[Json] = [{"type": "message_start", "message": start}]
    for at, block in enumerate(message["content"]):
        opened, deltas = _opened(block)
        events.append({"type": "content_block_start", "index": at, "content_block": opened})
        events += [{"type": "content_block_delta", "index": at, "delta": each} for each in deltas]
        events.append({"type": "content_block_stop", "index": at})
    end: Json = {
        "type": "message_delta",
        "delta": {name: message[name] for name in sorted(late) if name in message},
        "usage": {"input_tokens": message["usage"]["input_tokens"]},
    }
    for name in ("output_tokens", "output_tokens_details", "server_tool_use", "iterations"):
        if name in message["usage"]:
            end["usage"][name] = message["usage"][name]
    if "context_management" in message:
        end["context_management"] = message["context_management"]
    return [*events, end, {"type": "message_stop"}]


def _opened(block: Json) -> tuple[Json, list[Json]]:
    match block["type"]:
        case "text":
            cites = [{"type": "citations_delta", "citation": c} for c in block.get("citations", ())]
            opened = {**block, "text": ""}
            opened.pop("citations", None)
            return opened, [{"type": "text_delta", "text": block["text"]}, *cites]
        case "thinking":
            said = {"type": "thinking_delta", "thinking": block["thinking"]}
            signed = {"type": "signature_delta", "signature": block["signature"]}
            return {**block, "thinking": "", "signature": ""}, [said, signed]
        case "tool_use" | "server_tool_use":
            pieces = ['{"a":[1,', '"é"]}'] if block["type"] == "tool_use" else ['{"query":"q"}']
            deltas = [{"type": "input_json_delta", "partial_json": piece} for piece in pieces]
            return {**block, "input": {}}, deltas
        case _:
            return block, []


# Ollama

REMOTE = {"remote_model": st.just("gpt-oss:120b"), "remote_host": st.just("https://ollama.com:443")}
DURATIONS = {
    name: st.integers(1, 10**12)
    for name in ("total_duration", "load_duration", "prompt_eval_duration", "eval_duration")
}
SEEN = "2026-11-23T04:00:00.123456789Z"


def _ollama_line(**more: st.SearchStrategy[Any]) -> JsonObjects:
    fields = {"model": "m", "created_at": SEEN}
    return an_object(fields, logprobs=some(TOKEN), **REMOTE, **more)


def _ollama_end(context: bool) -> JsonObjects:
    more = {"context": st.just([1, 2, 3])} if context else {}
    return an_object(
        {"done": True, "done_reason": st.sampled_from(["stop", "length"])},
        prompt_eval_count=COUNT,
        eval_count=COUNT,
        **DURATIONS,
        **more,
    )


@st.composite
def ollama_calls(draw: st.DrawFn) -> list[Json]:
    calls = []
    for number in range(draw(st.integers(0, 2))):
        function = draw(an_object({"index": number, "name": "f"}))
        function["arguments"] = {"a": [1, "é"]}
        calls.append({**draw(an_object({"id": f"call_{number}"})), "function": function})
    return calls


@st.composite
def ollama_answers(draw: st.DrawFn, field: str) -> Json:
    """Whole: ``content`` inside of a message, or ``response``."""
    is_chat = field == "content"
    role = {"role": "assistant"} if is_chat else {}
    said = draw(an_object({**role, field: WORDS}, thinking=WORDS))
    calls = draw(ollama_calls())
    if calls:
        said["tool_calls"] = calls
    line = {**draw(_ollama_line()), **draw(_ollama_end(not is_chat))}
    return {**line, "message": said} if is_chat else {**line, **said}


@st.composite
def ollama_streams(draw: st.DrawFn, field: str) -> list[Json]:
    is_chat = field == "content"

    def line(said: Json) -> Json:
        around = {**draw(_ollama_line()), "done": False}
        return {**around, "message": {"role": "assistant", **said}} if is_chat else around | said

    lines = [line({field: "", "thinking": draw(WORDS)}) for _ in range(draw(st.integers(0, 2)))]
    lines += [line(draw(an_object({field: WORDS}))) for _ in range(draw(st.integers(0, 3)))]
    calls = draw(ollama_calls())
    if calls:
        called = line({field: "", "tool_calls": calls})
        called.pop("logprobs", None)  # of text and thoughts only
        lines.append(called)
    end = {**line({field: ""}), **draw(_ollama_end(not is_chat))}
    end.pop("logprobs", None)  # of no words
    return [*lines, end]


@st.composite
def ollama_embeddings(draw: st.DrawFn) -> Json:
    durations = {name: DURATIONS[name] for name in ("total_duration", "load_duration")}
    body = draw(an_object({"model": "m"}, prompt_eval_count=COUNT, **durations))
    return {**body, "embeddings": [[0.5, -1.0]]}


OLD_EMBEDDINGS = an_object({"embedding": st.just([0.5, -1.0])})
