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
    extras: Extras = field(default_factory=dict)


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
class Completion:
    """Text to be gone on with as it stands, without a model's chat template around it (OpenAI's
    completions, and Ollama's ``raw`` and ``suffix``), or in another one than the model's own."""

    prompts: tuple[str | tuple[int, ...], ...]
    """Each is a text, or the ids of its tokens, and gets an answer of its own."""
    suffix: str | None = None
    """What comes after the text that is asked for: it is to be filled in between. Never empty."""
    echo: bool = False
    """The answer is to begin with the prompt."""
    best_of: int | None = None
    """How many answers the server makes, to give the best ``ChatRequest.choices`` of them."""
    logprobs: int | None = None
    """How many tokens to tell the probabilities of in each place; 0: of the chosen one only."""
    raw: bool = False
    """The client said that the prompt holds the marks of the model's own template already: a chat
    would show them to the model as text, so only a server that completes text will do."""
    template: str | None = None
    """What to put around the prompt instead of the model's own template, in Ollama's notation."""
    context: tuple[int, ...] = ()
    """The tokens of all that was said before, in the model's own vocabulary."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerState:
    """What a request wants its server to have kept, or to keep (OpenAI's Responses API)."""

    previous_response_id: str | None = None
    """Goes on from this answer; the turns hold only what is new."""
    conversation_id: str | None = None
    prompt_id: str | None = None
    """A prompt template that the provider keeps."""
    item_ids: tuple[str, ...] = ()
    """Items that the conversation only refers to."""
    background: bool = False
    """The client wants an id at once, and to fetch the answer later."""
    store: bool = False
    """The client wants the answer kept."""
    kept_here: bool = False
    """The gateway itself serves all of this but conversations and prompts: the turns hold what the
    ids of answers and items name, and an upstream is to hear nothing of it."""


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
    continues: bool = False
    """The last turn is the model's own, begun and broken off: only the rest of it is asked for."""
    completion: Completion | None = None
    """Set where text is to be completed. The prompts that are text stand in ``turns`` as well, as
    a user's, for servers that can only be asked in a conversation."""
    state: ServerState | None = None
    """None: the request says all there is to know, and wants nothing kept."""
    extras: Extras = field(default_factory=dict)
    said_twice: frozenset[str] = frozenset()
    """Raw fields in ``extras`` whose meaning other fields here hold as well: a dialect that says
    those loses nothing of them."""

    def lost_extras(self, own: Dialect) -> list[str]:
        """The raw fields that ``own`` can't say, since another dialect brought them in."""
        return [
            name
            for dialect, fields in self.extras.items()
            if dialect != own
            for name in fields
            if name not in self.said_twice
        ]

    def extra(self, dialect: Dialect, name: str) -> JsonValue:
        """A raw field that ``dialect`` brought in, or None."""
        return self.extras.get(dialect, {}).get(name)
