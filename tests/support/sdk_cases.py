"""Questions, and what any client of any dialect must hear: the table of all SDK tests."""

from __future__ import annotations

from dataclasses import dataclass

from sdk_questions import PNG, End, Question, Tool

WEATHER = Tool("weather")
NEWS = Tool("news", ("topic", "day"))


@dataclass(frozen=True)
class Case:
    """A question, and what any client must hear."""

    question: Question
    text: str = ""
    """A pattern."""
    thinking: str = ""
    """A pattern."""
    calls: tuple[Tool, ...] = ()
    end: End = End.DONE
    output_tokens: int | None = None


CASES = {
    "chat": Case(Question(text="hello"), r"You said: hello\n[\w ]+\."),
    "unicode": Case(Question(text="Grüße, 世界 🌍 «é»"), r"You said: Grüße, 世界 🌍 «é»\n[\w ]+\."),
    "odd line breaks": Case(
        # Each ends a line for some reader of lines.
        Question(text="a\r\nb\x0bc\x0cd\u2028e\u2029f\x1cg\0h"),
        "You said: a\r\nb\x0bc\x0cd\u2028e\u2029f\x1cg\0h\n" r"[\w ]+\.",
    ),
    "system prompt": Case(Question(text="hi", system="Please be brief."), r"\w+\."),
    "long": Case(Question(text="lorem ipsum " * 80), r"You said: (lorem ipsum ){80}"),
    "max tokens": Case(
        Question(text="one two three", max_tokens=5),
        r"You said: one .*",
        end=End.LENGTH,
        output_tokens=5,
    ),
    "stop sequence": Case(
        Question(text="one STOP two", stop=("HALT", "STOP")),
        r"You said: one ",
        end=End.STOP_SEQUENCE,
    ),
    "empty content": Case(
        # All that the model says is cut off by the stop sequence.
        Question(text="nothing", stop=("HALT", "You said")),
        end=End.STOP_SEQUENCE,
        output_tokens=0,
    ),
    "thinking only": Case(
        # The limit is met before the text begins.
        Question(text="ponder", thinks=True, max_tokens=8),
        thinking=r"The user wrote 6 characters\. \w*",
        end=End.LENGTH,
        output_tokens=8,
    ),
    "refusal": Case(Question(text="please refuse"), r"I can't help with that\.", end=End.REFUSED),
    "image": Case(
        Question(text="look", image=PNG),
        r"You sent 1 image: image/png \(68 bytes\)\. You said: look\n[\w ]*\.?",
    ),
    "JSON schema": Case(Question(text="a city", wants_city=True), r"\{.*\}"),
    "thinking": Case(
        Question(text="ponder", thinks=True),
        r"You said: ponder\n[\w ]+\.",
        thinking=r"The user wrote 6 characters\. [\w ]+\.?",
    ),
    "thinking unasked": Case(
        Question(text="ponder", model="sandbox-thinking"),
        r"You said: ponder\n[\w ]+\.",
        thinking=r"The user wrote 6 characters\. [\w ]+\.?",
    ),
    "tool": Case(
        Question(text="use the tool", tools=(NEWS, WEATHER)), calls=(NEWS,), end=End.TOOLS
    ),
    "forced tool": Case(
        Question(text="weather! use the tool", tools=(NEWS, WEATHER), must_call=True),
        calls=(WEATHER,),
        end=End.TOOLS,
    ),
    "parallel tools": Case(
        Question(text="use all tools", tools=(WEATHER, NEWS)),
        calls=(WEATHER, NEWS),
        end=End.TOOLS,
    ),
    "thinking with parallel tools": Case(
        Question(text="use all tools", tools=(WEATHER, NEWS), thinks=True),
        thinking=r"The user wrote 13 characters\. [\w ]+\.?",
        calls=(WEATHER, NEWS),
        end=End.TOOLS,
    ),
    "tool without arguments": Case(
        # Trap 82: no upstream sends a fragment of arguments for it.
        Question(text="use the tool", tools=(Tool("now", ()),)),
        calls=(Tool("now", ()),),
        end=End.TOOLS,
    ),
    "tools not used": Case(Question(text="hello", tools=(WEATHER,)), r"You said: hello\n[\w ]+\."),
}
