"""For every feature a request that says it, and the same request without it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TypeAlias

from forebay.protocol.canonical.features import Feature
from forebay.protocol.canonical.requests import (
    Audio,
    ChatRequest,
    Completion,
    Dialect,
    Document,
    Effort,
    Extras,
    FileSource,
    Image,
    InlineData,
    Opaque,
    OpaqueTool,
    OutputFormat,
    OutputKind,
    Part,
    Reasoning,
    Refusal,
    Role,
    ServerState,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolChoiceMode,
    ToolResult,
    Turn,
    UrlSource,
    user_turn,
)
from forebay.protocol.dialects.anthropic import ANTHROPIC
from forebay.protocol.dialects.ollama import OLLAMA
from forebay.protocol.dialects.openai import OPENAI
from forebay.protocol.dialects.openai._names import COMPLETIONS
from forebay.protocol.dialects.openai.responses._names import ITEM, RESPONSES
from forebay.protocol.jsontext import JsonObject

Change: TypeAlias = Callable[[ChatRequest], ChatRequest]

TEXT = "Once upon a time"
PNG = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwAD"
    "hgGAWjR9awAAAABJRU5ErkJggg=="
)
BMP = "Qk06AAAAAAAAADYAAAAoAAAAAQAAAAEAAAABABgAAAAAAAQAAAAAAAAAAAAAAAAAAAAAAAAA////AA=="
PDF = "JVBERi0xLjQKJSVFT0YK"
SCHEMA: JsonObject = {"type": "object", "properties": {"a": {"type": "string"}}}
TOOL = Tool(name="look", description="Looks.", parameters=SCHEMA)
PICTURE = Image(source=InlineData(base64=PNG, media_type="image/png"))


@dataclass(frozen=True)
class Sample:
    """``with_it`` says the feature; ``without`` is the same but for that."""

    without: ChatRequest
    with_it: ChatRequest


def base(own: Dialect, *, completes: bool = False) -> ChatRequest:
    """What a client of the API with this key in its ``extras`` says at least.

    Args:
        completes: It asks for a text to be gone on with.
    """
    completion = Completion(prompts=(TEXT,)) if completes or own == COMPLETIONS else None
    return ChatRequest(
        model="m",
        turns=(user_turn(TEXT),),
        max_output_tokens=100,
        completion=completion,
        extras={own: {}},
    )


def sample_of(feature: Feature, own: Dialect, *, completes: bool = False) -> Sample:
    """As a client of the API with this key in its ``extras`` would say it; ``completes`` as in
    :func:`base`."""
    without = _GIVEN.get(feature, _same)(base(own, completes=completes))
    mark = _MARKED.get(feature)
    with_it = _SAYING[feature](without) if mark is None else mark(without, own)
    if feature is Feature.SIGNATURES:
        without = _unsigned(with_it)
    return Sample(without, with_it)


def _same(request: ChatRequest) -> ChatRequest:
    return request


def _sampling(**fields: object) -> Change:
    def change(request: ChatRequest) -> ChatRequest:
        return replace(request, sampling=replace(request.sampling, **fields))  # type: ignore[arg-type]

    return change


def _fields(**fields: object) -> Change:
    def change(request: ChatRequest) -> ChatRequest:
        return replace(request, **fields)  # type: ignore[arg-type]

    return change


def _state(**fields: object) -> Change:
    return _fields(state=ServerState(**fields))  # type: ignore[arg-type]


def _completion(**fields: object) -> Change:
    def change(request: ChatRequest) -> ChatRequest:
        completion = request.completion or Completion(prompts=(TEXT,))
        return replace(request, completion=replace(completion, **fields))  # type: ignore[arg-type]

    return change


def _with_part(part: Part) -> Change:
    def change(request: ChatRequest) -> ChatRequest:
        return replace(request, turns=(replace(request.turns[0], parts=(Text(TEXT), part)),))

    return change


def _talk(*answer: Part, extras: Extras | None = None) -> Change:
    def change(request: ChatRequest) -> ChatRequest:
        said = Turn(role=Role.ASSISTANT, parts=answer, extras=extras or {})
        return replace(request, turns=(*request.turns, said, user_turn("Go on")))

    return change


def _tool_loop(*content: Text | Image, is_error: bool = False) -> Change:
    def change(request: ChatRequest) -> ChatRequest:
        call = ToolCall(id="call_1", name=TOOL.name, arguments='{"a":"b"}')
        result = ToolResult(call_id="call_1", name=TOOL.name, content=content, is_error=is_error)
        turns = (
            user_turn(TEXT),
            Turn(role=Role.ASSISTANT, parts=(call,)),
            Turn(role=Role.USER, parts=(result,)),
        )
        return replace(request, turns=turns, tools=(TOOL,))

    return change


def _thinks(request: ChatRequest) -> ChatRequest:
    return replace(
        request,
        max_output_tokens=9000,
        reasoning=Reasoning(enabled=True, effort=Effort.HIGH),
    )


def _schema(**fields: object) -> Change:
    return _fields(output=OutputFormat(kind=OutputKind.JSON_SCHEMA, schema=SCHEMA, **fields))  # type: ignore[arg-type]


def _both(first: Change, second: Change) -> Change:
    return lambda request: second(first(request))


_AUTO = ToolChoice(ToolChoiceMode.AUTO)
_REQUIRED = ToolChoice(ToolChoiceMode.REQUIRED)
_TOOLS = _fields(tools=(TOOL,), tool_choice=_AUTO)

_GIVEN: Mapping[Feature, Change] = {
    Feature.TEMPERATURE_WITH_THINKING: _thinks,
    Feature.TOP_P_WITH_THINKING: _thinks,
    Feature.TOP_K_WITH_THINKING: _thinks,
    Feature.TOP_P_WITH_TEMPERATURE: _sampling(temperature=0.5),
    Feature.TOP_LOGPROBS: _sampling(logprobs=True),
    Feature.SCHEMA_STRICT: _schema(name="answer"),
    Feature.SCHEMA_NAME: _schema(),
    Feature.FORCED_TOOLS: _TOOLS,
    Feature.FORCED_TOOLS_WITH_THINKING: _both(_TOOLS, _thinks),
    Feature.ONE_CALL: _TOOLS,
    Feature.STRICT_TOOLS: _TOOLS,
    Feature.FREE_TOOL_NAMES: _TOOLS,
    Feature.TOOL_ERRORS: _tool_loop(Text("it broke")),
    Feature.TOOL_IMAGES: _tool_loop(Text("see")),
    Feature.LATER_INSTRUCTIONS: _talk(Text("And then?")),
    Feature.PAST_REASONING: _talk(Text("And then?")),
    Feature.SIGNATURES: _talk(Text("And then?")),
    Feature.PAST_REFUSALS: _talk(Text("And then?")),
    Feature.IMAGE_DETAIL: _with_part(PICTURE),
    Feature.CITATIONS: _with_part(
        Document(source=InlineData(base64=PDF, media_type="application/pdf"))
    ),
}


def _speaking(role: Role) -> Change:
    def change(request: ChatRequest) -> ChatRequest:
        return replace(request, turns=(Turn(role=role, parts=(Text("Be brief"),)), *request.turns))

    return change


def _later(request: ChatRequest) -> ChatRequest:
    system = Turn(role=Role.SYSTEM, parts=(Text("Be brief"),))
    return replace(request, turns=(*request.turns, system))


def _named(request: ChatRequest) -> ChatRequest:
    return replace(request, turns=(replace(request.turns[0], name="anna"), *request.turns[1:]))


_SAYING: Mapping[Feature, Change] = {
    Feature.TEMPERATURE: _sampling(temperature=0.5),
    Feature.HIGH_TEMPERATURE: _sampling(temperature=1.5),
    Feature.TEMPERATURE_WITH_THINKING: _sampling(temperature=0.5),
    Feature.TOP_P: _sampling(top_p=0.5),
    Feature.TOP_P_WITH_TEMPERATURE: _sampling(top_p=0.5),
    Feature.TOP_P_WITH_THINKING: _sampling(top_p=0.5),
    Feature.TOP_K: _sampling(top_k=5),
    Feature.TOP_K_WITH_THINKING: _sampling(top_k=5),
    Feature.MIN_P: _sampling(min_p=0.1),
    Feature.SEED: _sampling(seed=7),
    Feature.FREQUENCY_PENALTY: _sampling(frequency_penalty=0.5),
    Feature.PRESENCE_PENALTY: _sampling(presence_penalty=0.5),
    Feature.REPEAT_PENALTY: _sampling(repeat_penalty=1.1),
    Feature.LOGIT_BIAS: _sampling(logit_bias={"5": 1.0}),
    Feature.LOGPROBS: _sampling(logprobs=True),
    Feature.TOP_LOGPROBS: _sampling(top_logprobs=2),
    Feature.STOP: _fields(stop=("END",)),
    Feature.BLANK_STOP: _fields(stop=("\n",)),
    Feature.MANY_STOPS: _fields(stop=("a", "b", "c", "d", "e")),
    Feature.CHOICES: _fields(choices=2),
    Feature.NO_LIMIT: _fields(max_output_tokens=None),
    Feature.SMALL_LIMIT: _fields(max_output_tokens=3),
    Feature.NO_OUTPUT: _fields(max_output_tokens=0),
    Feature.JSON_OUTPUT: _fields(output=OutputFormat(kind=OutputKind.JSON)),
    Feature.JSON_SCHEMA: _schema(),
    Feature.SCHEMA_STRICT: _schema(name="answer", strict=True),
    Feature.SCHEMA_NAME: _schema(name="story"),
    Feature.REASONING: _fields(reasoning=Reasoning(enabled=True, effort=Effort.HIGH)),
    Feature.EFFORT: _fields(reasoning=Reasoning(enabled=True, effort=Effort.HIGH)),
    Feature.UNCOMMON_EFFORT: _fields(reasoning=Reasoning(enabled=True, effort=Effort.MINIMAL)),
    Feature.BUDGET: _fields(
        max_output_tokens=9000, reasoning=Reasoning(enabled=True, budget_tokens=4000)
    ),
    Feature.OPEN_REASONING: _fields(reasoning=Reasoning(enabled=True)),
    Feature.ADAPTIVE_REASONING: _fields(reasoning=Reasoning(enabled=True, adaptive=True)),
    Feature.TOOLS: _fields(tools=(TOOL,)),
    Feature.FORCED_TOOLS: _fields(tool_choice=_REQUIRED),
    Feature.FORCED_TOOLS_WITH_THINKING: _fields(tool_choice=_REQUIRED),
    Feature.ONE_CALL: _fields(parallel_tool_calls=False),
    Feature.STRICT_TOOLS: _fields(tools=(replace(TOOL, strict=True),)),
    Feature.FREE_TOOL_NAMES: _fields(tools=(replace(TOOL, name="mcp.look here"),)),
    Feature.TOOL_ERRORS: _tool_loop(Text("it broke"), is_error=True),
    Feature.TOOL_IMAGES: _tool_loop(Text("see"), PICTURE),
    Feature.METADATA: _fields(metadata={"k": "v"}),
    Feature.SERVICE_TIER: _fields(service_tier="flex"),
    Feature.USER_ID: _fields(user_id="u-1"),
    Feature.LONG_USER_ID: _fields(user_id="u" * 65),
    Feature.PERSONAL_USER_ID: _fields(user_id="anna@example.org"),
    Feature.INSTRUCTIONS: _speaking(Role.SYSTEM),
    Feature.LATER_INSTRUCTIONS: _later,
    Feature.DEVELOPER: _speaking(Role.DEVELOPER),
    Feature.CONVERSATION: _talk(Text("And then?")),
    Feature.NAMES: _named,
    Feature.PAST_REFUSALS: lambda request: replace(
        request,
        turns=(
            request.turns[0],
            Turn(role=Role.ASSISTANT, parts=(Refusal("No."),)),
            request.turns[-1],
        ),
    ),
    Feature.IMAGES: _with_part(PICTURE),
    Feature.IMAGE_LINKS: _with_part(Image(source=UrlSource("https://x.test/a.png"))),
    Feature.PLAIN_IMAGE_LINKS: _with_part(Image(source=UrlSource("http://x.test/a.png"))),
    Feature.IMAGE_DETAIL: _with_part(replace(PICTURE, detail="low")),
    Feature.UNCOMMON_IMAGES: _with_part(
        Image(source=InlineData(base64=BMP, media_type="image/bmp"))
    ),
    Feature.AUDIO: _with_part(Audio(base64="AAAA", format="wav")),
    Feature.DOCUMENTS: _with_part(
        Document(source=InlineData(base64=PDF, media_type="application/pdf"))
    ),
    Feature.TEXT_DOCUMENTS: _with_part(Document(source=Text("A story"))),
    Feature.DOCUMENT_LINKS: _with_part(Document(source=UrlSource("https://x.test/a.pdf"))),
    Feature.PLAIN_DOCUMENT_LINKS: _with_part(Document(source=UrlSource("http://x.test/a.pdf"))),
    Feature.PREVIOUS_RESPONSE: _state(previous_response_id="resp_1"),
    Feature.CONVERSATION_ID: _state(conversation_id="conv_1"),
    Feature.PROMPT_ID: _state(prompt_id="pmpt_1"),
    Feature.ITEM_IDS: _state(item_ids=("msg_1",)),
    Feature.BACKGROUND: _state(background=True),
    Feature.CHAT: _same,
    Feature.SEVERAL_COMPLETIONS: _both(_completion(), _fields(choices=2)),
    Feature.SUFFIX: _completion(suffix="The end"),
    Feature.RAW_PROMPT: _completion(raw=True),
    Feature.SEVERAL_PROMPTS: _completion(prompts=("a", "b")),
    Feature.TOKEN_PROMPT: _completion(prompts=((1, 2),)),
    Feature.ECHO: _completion(echo=True),
    Feature.BEST_OF: _completion(best_of=3),
    Feature.PROMPT_LOGPROBS: _completion(logprobs=1),
    Feature.TEMPLATE: _completion(template="{{ .Prompt }}"),
    Feature.CONTEXT: _completion(context=(1, 2)),
}


def _past_reasoning(request: ChatRequest, own: Dialect) -> ChatRequest:
    thinking = Thinking(text="Hm")
    turn = request.turns[1]
    if own == ANTHROPIC:
        thinking = Thinking(text="Hm", signature="c2ln", extras={own: {}})
    elif own == RESPONSES:
        item: JsonObject = {"id": "rs_1", "summary": [{"type": "summary_text", "text": "Hm"}]}
        thinking = Thinking(text="Hm", extras={own: {ITEM: item}})
    elif own == OPENAI:
        turn = replace(turn, extras={own: {"reasoning_content": "Hm"}})
    said = replace(turn, parts=(thinking, *turn.parts))
    return replace(request, turns=(request.turns[0], said, request.turns[2]))


def _unsigned(request: ChatRequest) -> ChatRequest:
    turns = tuple(
        replace(
            turn,
            parts=tuple(
                replace(part, signature=None) if isinstance(part, Thinking) else part
                for part in turn.parts
            ),
        )
        for turn in request.turns
    )
    return replace(request, turns=turns)


def _marked_part(make: Callable[[Extras], Part]) -> Callable[[ChatRequest, Dialect], ChatRequest]:
    return lambda request, own: _with_part(make({own: {}}))(request)


_MARKED: Mapping[Feature, Callable[[ChatRequest, Dialect], ChatRequest]] = {
    # Ollama says it with ``raw`` only.
    Feature.PROMPT: lambda request, own: _completion(raw=own == OLLAMA)(request),
    Feature.PAST_REASONING: _past_reasoning,
    Feature.SIGNATURES: _past_reasoning,
    Feature.SERVER_TOOLS: lambda request, own: replace(
        request, tools=(OpaqueTool(own, {"type": "search_20990101", "name": "search"}),)
    ),
    Feature.OWN_PARTS: lambda request, own: _with_part(Opaque(own, {"type": "x_part", "x": 1}))(
        request
    ),
    Feature.IMAGE_FILES: _marked_part(
        lambda extras: Image(source=FileSource("file_1"), extras=extras)
    ),
    Feature.DOCUMENT_FILES: _marked_part(
        lambda extras: Document(source=FileSource("file_1"), extras=extras)
    ),
    Feature.CACHE_MARKS: lambda request, own: replace(
        request,
        turns=(
            Turn(
                role=Role.USER,
                parts=(Text(TEXT, {own: {"cache_control": {"type": "ephemeral"}}}),),
            ),
        ),
    ),
    Feature.CITATIONS: lambda request, own: _with_part(
        Document(
            source=InlineData(base64=PDF, media_type="application/pdf"),
            extras={own: {"citations": {"enabled": True}}},
        )
    )(request),
    Feature.OWN_FIELDS: lambda request, own: replace(request, extras={own: {"x_own_field": 1}}),
}
