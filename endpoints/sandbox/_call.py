"""One generation call and its answer, in the sandbox's own terms, the same for every dialect."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from forebay.endpoints.sandbox._options import SandboxModel
from forebay.protocol.jsontext import JsonObject


class Effort(Enum):
    """How long a model thinks, in tokens of visible reasoning."""

    LOW = 8
    MEDIUM = 16
    HIGH = 32


@dataclass(frozen=True, slots=True)
class Image:
    """An image of the last turn."""

    media_type: str
    """"" for an image by address."""
    size_bytes: int
    address: str = ""


@dataclass(frozen=True, slots=True)
class Tool:
    """A function that the model may call."""

    name: str
    schema: JsonObject


@dataclass(frozen=True, slots=True)
class ToolDemand:
    """What the request says about calling tools."""

    allowed: bool = True
    forced: bool = False
    name: str | None = None
    """The one tool that must be called."""
    parallel: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A request to generate, after it has been checked."""

    model: SandboxModel
    model_name: str
    """As the request wrote it."""
    stream: bool
    input_tokens: int
    system_text: str = ""
    user_text: str = ""
    """All text of the last user message."""
    said_before: str = ""
    """How the answer begins, which is said already: only the rest is wanted."""
    images: tuple[Image, ...] = ()
    tool_results: tuple[str, ...] = ()
    """Results that the last turn brings."""
    tools: tuple[Tool, ...] = ()
    demand: ToolDemand = ToolDemand()
    json_only: bool = False
    json_schema: JsonObject | None = None
    stop: tuple[str, ...] = ()
    max_tokens: int | None = None
    effort: Effort | None = None
    """None: no thinking."""
    hides_thinking: bool = False
    choices: int = 1
    includes_usage: bool = False
    in_background: bool = False
    """Answered at once with a promise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CompletionCall(Call):
    """A request to go on with texts: ``choices`` answers to each of ``prompts``."""

    prompts: tuple[str, ...]
    """``user_text`` is all of them."""
    echo: bool = False
    """Each answer begins with its prompt."""
    logprobs: int | None = None
    """How many likely tokens to tell beside each token; None: tell nothing of the kind."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddingCall(Call):
    """A request for the vectors of some texts; nothing is generated."""

    texts: tuple[str, ...]
    dimensions: int
    packed: bool = False
    """The vectors are wanted as base64."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CountCall(Call):
    """A request to count a prompt's tokens; nothing is read or generated, so ``input_tokens`` is
    0."""

    counted_tokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CompactionCall(Call):
    """A request to compact a conversation; nothing is generated that anybody could read."""

    said_by_user: tuple[JsonObject, ...]
    """Items."""


class Finish(Enum):
    """Why an answer ended."""

    END = "end"
    LENGTH = "length"
    STOP_SEQUENCE = "stop_sequence"
    TOOL_USE = "tool_use"
    REFUSAL = "refusal"


@dataclass(frozen=True, slots=True)
class ToolUse:
    """A tool call that the model makes."""

    name: str
    arguments_text: str
    """JSON, cut short if the answer ended inside it."""
    arguments: JsonObject | None
    """None if it was cut short."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the model says."""

    text: str
    thinking: str
    tool_uses: tuple[ToolUse, ...]
    finish: Finish
    stop_sequence: str | None
    thinking_tokens: int
    output_tokens: int
    """All of it, thinking included."""


@dataclass(frozen=True, slots=True)
class Identity:
    """What makes one answer this one: a number for ids, and the wall-clock time it was made."""

    number: int
    wall: float

    @property
    def hex(self) -> str:
        return f"{self.number:024x}"


def usage_of(answers: list[Answer]) -> tuple[int, int]:
    """Output tokens and, among them, thinking tokens, over all choices."""
    return (
        sum(answer.output_tokens for answer in answers),
        sum(answer.thinking_tokens for answer in answers),
    )
