"""Cases of single answers: each is what a client of any dialect takes for granted."""

from __future__ import annotations

import base64
import json
import time
from dataclasses import replace
from typing import Final

from tour.guests import AnthropicGuest
from tour.questions import Called, End, Heard, Question, Refused, Result, User, weather_talk
from tour.visits import Case, Seen, Visit

PNG: Final = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
_CAPITAL: Final = Question(turns=(User("What is the capital of Italy?"),))
_QUICKLY: Final = 2.0
"""Seconds; an error that is the client's own is told at once, not after tries and pauses."""


def _shown(heard: Heard) -> str:
    text = heard.text if len(heard.text) <= 32 else heard.text[:31] + "…"
    end = "?" if heard.end is None else heard.end.value
    pieces = f", {heard.pieces} pieces" if heard.pieces else ""
    return f"{text!r}, {end}, {heard.input_tokens}+{heard.output_tokens} tokens{pieces}"


def _is_sound(heard: Heard) -> bool:
    return heard.end is not None and heard.input_tokens > 0 and heard.output_tokens > 0


def models(visit: Visit) -> Seen:
    listed = visit.guest.models()
    tag = ":latest" if visit.guest.dialect == "ollama" else ""
    return Seen(", ".join(listed), ok=visit.model + tag in listed)


def chat(visit: Visit) -> Seen:
    heard = visit.guest.ask(visit.model, _CAPITAL)
    return Seen(_shown(heard), ok=bool(heard.text) and _is_sound(heard))


def stream(visit: Visit) -> Seen:
    heard = visit.guest.stream(visit.model, _CAPITAL)
    return Seen(_shown(heard), ok=_is_sound(heard) and heard.pieces > 1)


def tool_call(visit: Visit) -> Seen:
    if not visit.server.has_tools:
        return Seen("the server's template has no tools", ok=None)
    question = Question(turns=weather_talk("Paris"), has_tool=True, max_tokens=80)
    whole = visit.guest.ask(visit.model, question)
    streamed = visit.guest.stream(visit.model, question)
    wanted = (("get_weather", {"city": "Paris"}),)
    ok = all(heard.calls == wanted and heard.end is End.TOOLS for heard in (whole, streamed))
    shown = "; ".join(f"{name}({json.dumps(said)})" for name, said in streamed.calls)
    return Seen(shown or f"no call: {_shown(streamed)}", ok=ok)


def tool_result(visit: Visit) -> Seen:
    if not visit.server.has_tools:
        return Seen("the server's template has no tools", ok=None)
    turns = (*weather_talk("Paris"), Called("Paris"), Result("Paris", "31 degrees"))
    heard = visit.guest.ask(visit.model, Question(turns=turns, has_tool=True))
    return Seen(_shown(heard), ok="31 degrees" in heard.text and _is_sound(heard))


def json_schema(visit: Visit) -> Seen:
    turns = (User("Tell me about the city of Rome, as JSON."),)
    question = Question(turns=turns, wants_city=True, max_tokens=120)
    heard = visit.guest.ask(visit.model, question)
    if _is_city(heard.text):
        return Seen(" ".join(heard.text.split()), ok=True)
    if visit.route == "messages":
        alone = AnthropicGuest(visit.server.url).ask(visit.server.model, question)
        if not _is_city(alone.text):
            return Seen("the server's Messages API does not know schemas", ok=None)
    return Seen(f"no JSON: {_shown(heard)}", ok=False)


def _is_city(text: str) -> bool:
    try:
        city = json.loads(text)
    except ValueError:
        return False
    return isinstance(city, dict) and city.keys() == {"name", "inhabitants"}


def system_prompt(visit: Visit) -> Seen:
    question = Question(turns=(User("What is your name?"),))
    plain = visit.guest.ask(visit.model, question)
    system = "You are a pirate. Your name is Barnacle."
    named = visit.guest.ask(visit.model, replace(question, system=system))
    return Seen(_shown(named), ok="Barnacle" in named.text and "Barnacle" not in plain.text)


def stop_sequence(visit: Visit) -> Seen:
    turns = (User("Repeat exactly: one two three four five six"),)
    plain = visit.guest.ask(visit.model, Question(turns=turns))
    words = plain.text.split()
    if len(words) < 3:
        return Seen(f"nothing to stop at: {_shown(plain)}", ok=False)
    stop = words[2]
    ends = (End.STOP_SEQUENCE, End.DONE)  # OpenAI's and Ollama's dialects have one word for both
    heard = [
        ask(visit.model, Question(turns=turns, stop=(stop,)))
        for ask in (visit.guest.ask, visit.guest.stream)
    ]
    ok = all(one.end in ends and one.text == plain.text[: plain.text.index(stop)] for one in heard)
    return Seen(f"stop {stop!r}: {_shown(heard[1])}", ok=ok)


def max_tokens(visit: Visit) -> Seen:
    question = Question(turns=(User("Tell me a long story."),), max_tokens=7)
    heard = [ask(visit.model, question) for ask in (visit.guest.ask, visit.guest.stream)]
    return Seen(
        _shown(heard[1]),
        ok=all(one.end is End.LENGTH and one.output_tokens == 7 for one in heard),
    )


def too_long_prompt(visit: Visit) -> Seen:
    question = Question(turns=(User("word " * (visit.server.context + 100)),))
    return _refusals(visit, question, visit.model, statuses=(400, 413))


def unknown_model(visit: Visit) -> Seen:
    return _refusals(visit, _CAPITAL, "no-such-model", statuses=(404,))


def unlisted_model(visit: Visit) -> Seen:
    """llama.cpp's server answers for any model id, and so the gateway does not ask."""
    heard = visit.guest.ask(f"{visit.route}/no-such-model", _CAPITAL)
    return Seen(_shown(heard), ok=_is_sound(heard))


def image(visit: Visit) -> Seen:
    question = replace(_CAPITAL, image=PNG)
    if visit.server.has_vision:
        heard = visit.guest.ask(visit.model, question)
        return Seen(_shown(heard), ok=_is_sound(heard))
    return _refusals(visit, question, visit.model, statuses=(400, 415, 422))


def _refusals(visit: Visit, question: Question, model: str, *, statuses: tuple[int, ...]) -> Seen:
    """Whole and streamed, it must be refused at once and in the client's dialect."""
    came: list[str] = []
    ok = True
    for ask in (visit.guest.ask, visit.guest.stream):
        began = time.monotonic()
        try:
            heard = ask(model, question)
        except Refused as refusal:
            seconds = time.monotonic() - began
            form = "" if refusal.well_formed else ", in a foreign form"
            late = f", after {seconds:.1f} s" if seconds > _QUICKLY else ""
            came.append(f"{refusal.status} {refusal.message[:70]}{form}{late}")
            ok = ok and refusal.status in statuses and refusal.well_formed and not late
        else:
            came.append(_shown(heard))
            ok = False
    return Seen(" | ".join(dict.fromkeys(came)), ok=ok)


CASES: Final[tuple[tuple[str, Case], ...]] = (
    ("models", models),
    ("chat", chat),
    ("stream", stream),
    ("tool call", tool_call),
    ("tool result", tool_result),
    ("JSON schema", json_schema),
    ("system prompt", system_prompt),
    ("stop sequence", stop_sequence),
    ("max tokens", max_tokens),
    ("too long prompt", too_long_prompt),
    ("unknown model", unknown_model),
    ("unlisted model", unlisted_model),
    ("image, no vision", image),
)
