"""Questions and answers as all three official SDKs can ask and hear them.

A *speaker* (``openai_speaker``, ``anthropic_speaker``, ``ollama_speaker``) puts a
:class:`Question` to a server with its SDK, holds every byte of the answer against the SDK's own
types, and tells what was heard as :class:`Said`, so that answers can be compared across dialects.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from enum import Enum
from types import TracebackType
from typing import ClassVar, Self

from pydantic import BaseModel
from sdk_wire import Exchange, Wire

from forebay.protocol.jsontext import JsonObject

PNG = b"\x89PNG\r\n\x1a\n" + bytes(60)


class City(BaseModel):
    """What a structured answer is to be."""

    name: str
    inhabitants: int


class End(Enum):
    """Why an answer ended, as far as a client of any dialect can tell."""

    DONE = "done"
    STOP_SEQUENCE = "stop sequence"
    """Only Anthropic's dialect tells it from DONE."""
    LENGTH = "length"
    TOOLS = "tools"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Tool:
    """A function of text arguments."""

    name: str
    arguments: tuple[str, ...] = ("city",)

    @property
    def schema(self) -> JsonObject:
        return {
            "type": "object",
            "properties": {name: {"type": "string"} for name in self.arguments},
            "required": list(self.arguments),
        }


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call that was heard."""

    id: str
    """"" where the dialect's SDK tells none."""
    name: str
    arguments: JsonObject


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What a client heard."""

    text: str
    thinking: str
    calls: tuple[ToolCall, ...]
    end: End
    stop_sequence: str | None
    input_tokens: int
    output_tokens: int
    id: str
    """"" where the dialect has none."""
    model: str
    parsed: City | None
    """The SDK's own reading of a structured answer, where it has one."""
    fragments: int
    """Pieces that brought text, thinking or arguments; 0 for a whole answer."""
    turn: object
    """The answer as the SDK takes it back in the next question."""
    heard: Exchange


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One request."""

    text: str
    model: str = ""
    system: str | None = None
    tools: tuple[Tool, ...] = ()
    must_call: bool = False
    """A tool call is forced, where the dialect can say that; else ``text`` has to ask for it."""
    wants_city: bool = False
    """As JSON of :class:`City`'s schema."""
    image: bytes | None = None
    thinks: bool = False
    """At medium effort."""
    stop: tuple[str, ...] = ()
    max_tokens: int | None = None
    history: tuple[tuple[Said, tuple[str, ...]], ...] = ()
    """Earlier answers with calls, each with the results of its calls in order."""
    headers: dict[str, str] = field(default_factory=dict)


class Speaker(ABC):
    """Asks one server in one dialect."""

    dialect: ClassVar[str]
    failures: ClassVar[tuple[type[Exception], ...]]
    """What the SDK raises when an answer breaks off."""

    def __init__(self, wire: Wire) -> None:
        self.wire = wire
        """All that went over it."""

    @abstractmethod
    def ask(self, question: Question, *, stream: bool) -> Said:
        """Ask, and hear the whole answer.

        Raises:
            AssertionError: the answer is not of the SDK's own types.
            Exception: as the SDK raises it.
        """

    @abstractmethod
    def models(self) -> list[str]:
        """The names that the server lists."""

    @abstractmethod
    def close(self) -> None: ...

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
