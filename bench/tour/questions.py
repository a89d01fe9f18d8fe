"""What the guests of the tour ask and hear, whatever dialect they do it in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final

from forebay.protocol.jsontext import JsonObject

TOOL_NAME: Final = "get_weather"
TOOL_SCHEMA: Final[JsonObject] = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
}
CITY_SCHEMA: Final[JsonObject] = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "inhabitants": {"type": "integer"}},
    "required": ["name", "inhabitants"],
    "additionalProperties": False,
}


class End(Enum):
    """Why an answer ended."""

    DONE = "done"
    STOP_SEQUENCE = "stop sequence"
    LENGTH = "length"
    TOOLS = "tools"


@dataclass(frozen=True, slots=True)
class User:
    text: str


@dataclass(frozen=True, slots=True)
class Assistant:
    text: str


@dataclass(frozen=True, slots=True)
class Called:
    """The assistant called the tool."""

    city: str

    @property
    def id(self) -> str:
        return f"call_{self.city}"


@dataclass(frozen=True, slots=True)
class Result:
    """What the call for ``city`` gave."""

    city: str
    text: str


Turn = User | Assistant | Called | Result


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One request; the temperature is always 0."""

    turns: tuple[Turn, ...]
    system: str | None = None
    has_tool: bool = False
    wants_city: bool = False
    """As JSON of :data:`CITY_SCHEMA`."""
    image: bytes | None = None
    """A PNG beside the first turn."""
    stop: tuple[str, ...] = ()
    max_tokens: int = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """One answer, as the SDK understood it."""

    text: str
    calls: tuple[tuple[str, Mapping[str, object]], ...]
    """Names and arguments."""
    end: End | None
    """None: a word that the dialect does not have."""
    input_tokens: int
    output_tokens: int
    pieces: int = 0
    """Of content in a stream; 0 for a whole answer."""


class Refused(Exception):
    """An error answer, as the SDK raised it."""

    def __init__(self, status: int, message: str, *, well_formed: bool) -> None:
        super().__init__(f"{status}: {message}")
        self.status = status
        self.message = message
        self.well_formed = well_formed
        """It has the shape that the dialect's clients read."""


def weather_talk(city: str) -> tuple[Turn, ...]:
    """A talk that shows even a tiny model how the tool is used, up to a question about ``city``."""
    turns: list[Turn] = []
    for other in ("Rome", "Oslo", "Lima", "Cairo"):
        turns += [
            User(f"What is the weather in {other}?"),
            Called(other),
            Result(other, "18 degrees"),
            Assistant(f"It is 18 degrees in {other}."),
        ]
    return (*turns, User(f"What is the weather in {city}?"))
