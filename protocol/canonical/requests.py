"""The canonical chat request: rich enough that a dialect loses nothing on the way through it.

A request is a list of turns, each a list of parts. There is no tool role: a tool's result is a
part of a user turn. Tool arguments stay JSON *text* (key order, number formats and invalid JSON
survive). What a dialect says that no field here can hold goes raw into ``extras`` under that
dialect's name, and is put back when the same dialect is spoken again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NewType, TypeAlias

from forebay.protocol.jsontext import JsonObject, JsonValue

Dialect = NewType("Dialect", str)
"""The name of a wire API family (``openai``). Open: each dialect's own folder defines its name."""

Extras: TypeAlias = Mapping[Dialect, JsonObject]
"""Raw fields by the dialect that they came from."""


class Role(StrEnum):
    SYSTEM = "system"
    DEVELOPER = "developer"
    """OpenAI's newer name for system; a dialect that lacks it says system."""
    USER = "user"
    ASSISTANT = "assistant"


@dataclass(frozen=True, slots=True)
class Text:
    text: str
    extras: Extras = field(default_factory=dict)
    """For example ``cache_control`` and ``citations`` of an Anthropic block."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InlineData:
    """Bytes that travel inside the request."""

    base64: str
    """Standard base64 without line breaks and without a ``data:`` prefix."""
    media_type: str | None = None
    """None where the dialect does not say (Ollama); then read it from the first bytes."""


@dataclass(frozen=True, slots=True)
class UrlSource:
    url: str
    """http or https."""


@dataclass(frozen=True, slots=True)
class FileSource:
    file_id: str
    """An id at the provider that the client means; good at no other."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    source: InlineData | UrlSource | FileSource
    detail: str | None = None
    extras: Extras = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Audio:
    base64: str
    format: str
    extras: Extras = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    source: InlineData | UrlSource | FileSource | Text
    title: str | None = None
    extras: Extras = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Thinking:
    """Reasoning of an earlier assistant turn, or of this answer."""

    text: str
    signature: str | None = None
    """The provider's signature over the text. A block without the signature that a provider made
    itself must not be sent to that provider."""
    redacted: str | None = None
    """Opaque data of a redacted block; then ``text`` is empty."""
    extras: Extras = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCall:
    id: str
    name: str
    arguments: str
    """JSON text as the model wrote it: may be empty (means ``{}``) or invalid."""
    extras: Extras = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolResult:
    call_id: str
    """Empty where the dialect carries none; then ``name`` and the order pair it to its call."""
    content: tuple[Text | Image | Document, ...]
    name: str | None = None
    is_error: bool = False
    extras: Extras = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Refusal:
    text: str


@dataclass(frozen=True, slots=True)
class Opaque:
    """A part that only its own dialect understands, kept raw."""

    dialect: Dialect
    raw: JsonObject


Part: TypeAlias = (
    Text | Image | Audio | Document | Thinking | ToolCall | ToolResult | Refusal | Opaque
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    role: Role
    parts: tuple[Part, ...]
    name: str | None = None
    extras: Extras = field(default_factory=dict)

    @property
    def text(self) -> str:
        """The text parts of the turn, joined without a separator."""
        return "".join(part.text for part in self.parts if isinstance(part, Text))


def user_turn(text: str) -> Turn:
    """What a user says, as text."""
    return Turn(role=Role.USER, parts=(Text(text),))


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """A function that the model may call."""

    name: str
    description: str | None = None
    parameters: JsonObject | None = None
    """JSON Schema of the arguments object; None: no arguments."""
    strict: bool | None = None
    extras: Extras = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class OpaqueTool:
    """A tool that only its own dialect understands (server tools, grammars), kept raw."""

    dialect: Dialect
    raw: JsonObject


class ToolChoiceMode(StrEnum):
    AUTO = "auto"
    NONE = "none"
    REQUIRED = "required"
    """At least one call, of any tool."""
    NAMED = "named"
    """A call of the tool that ``ToolChoice.name`` names."""


@dataclass(frozen=True, slots=True)
class ToolChoice:
    mode: ToolChoiceMode
    name: str | None = None
    """Set with NAMED, and only then."""


class OutputKind(StrEnum):
    TEXT = "text"
    JSON = "json"
    """Any JSON object."""
    JSON_SCHEMA = "json_schema"


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputFormat:
    kind: OutputKind
    schema: JsonObject | None = None
    """Set with JSON_SCHEMA, and only then."""
    name: str | None = None
    description: str | None = None
    strict: bool | None = None


TEXT_OUTPUT = OutputFormat(kind=OutputKind.TEXT)


class Effort(StrEnum):
    """How much to reason, in OpenAI's words, from least to most."""

    NONE = "none"
    MINIMAL = "minimal"
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    XHIGH = "xhigh"
    MAX = "max"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reasoning:
    enabled: bool | None = None
    """None: the model's own default."""
    effort: Effort | None = None
    budget_tokens: int | None = None
    adaptive: bool = False
    """The model decides how much (Anthropic's ``adaptive``)."""
    extras: Extras = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """None: not said, the model's own default."""

    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    min_p: float | None = None
    seed: int | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    repeat_penalty: float | None = None
    logit_bias: Mapping[str, float] | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatRequest:
    """One request for one answer, whatever dialect it came in."""

    model: str
    turns: tuple[Turn, ...]
    tools: tuple[Tool | OpaqueTool, ...] = ()
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    max_output_tokens: int | None = None
    sampling: Sampling = field(default_factory=Sampling)
    stop: tuple[str, ...] = ()
    choices: int = 1
    """How many answers (OpenAI's ``n``)."""
    output: OutputFormat = TEXT_OUTPUT
    reasoning: Reasoning | None = None
    user_id: str | None = None
    metadata: Mapping[str, str] | None = None
    service_tier: str | None = None
    stream: bool = False
    stream_usage: bool = False
    """The client asked for a usage report inside the stream (OpenAI's ``include_usage``)."""
    extras: Extras = field(default_factory=dict)

    def extra(self, dialect: Dialect, name: str) -> JsonValue:
        """A raw field that ``dialect`` brought in, or None."""
        return self.extras.get(dialect, {}).get(name)
