"""Ollama's ``generate`` over every kind of upstream, with the official client."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

import ollama
import pytest
from live_gateway import UPSTREAMS, LiveGateway
from ollama_speaker import OllamaSpeaker, ending, read_lines
from sdk_questions import PNG, City, End, Speaker
from sdk_speakers import both_ways


@dataclass(frozen=True)
class Case:
    arguments: dict[str, Any]
    response: str
    """A pattern."""
    thinking: str = ""
    """A pattern."""
    end: End = End.DONE
    output_tokens: int | None = None


CASES = {
    "plain": Case({"prompt": "hello"}, r"You said: hello\n[\w ]+\."),
    "unicode": Case({"prompt": "Grüße, 世界 🌍"}, r"You said: Grüße, 世界 🌍\n[\w ]+\."),
    "system prompt": Case({"prompt": "hi", "system": "be brief"}, r"\w+\."),
    "limit": Case(
        {"prompt": "one two three", "options": {"num_predict": 5}},
        r"You said: one .*",
        end=End.LENGTH,
        output_tokens=5,
    ),
    "stop sequence": Case(
        {"prompt": "one STOP two", "options": {"stop": ["STOP"]}}, r"You said: one "
    ),
    "stopped before the first word": Case(
        # Trap 64: no token came, so Ollama itself leaves the counter out.
        {"prompt": "one", "options": {"stop": ["You said"]}},
        "",
        output_tokens=0,
    ),
    "image": Case(
        {"prompt": "look", "images": [PNG]},
        r"You sent 1 image: image/png \(68 bytes\)\. You said: look\n[\w ]*\.?",
    ),
    "JSON schema": Case({"prompt": "a city", "format": City.model_json_schema()}, r'\{"name".*\}'),
    "thinking": Case(
        {"prompt": "ponder", "think": "high"},
        r"You said: ponder\n[\w ]+\.",
        thinking=r"The user wrote 6 characters\. [\w ]+\.?",
    ),
}


@pytest.fixture
def speaker(speakers: dict[str, Speaker]) -> OllamaSpeaker:
    speaker = speakers["ollama"]
    assert isinstance(speaker, OllamaSpeaker)
    return speaker


@both_ways
@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
@pytest.mark.parametrize("upstream", UPSTREAMS)
def test_generate_answers_over_every_upstream(
    gateway: LiveGateway, speaker: OllamaSpeaker, upstream: str, case: Case, stream: bool
) -> None:
    before = gateway.statistics()
    arguments = {"model": f"{upstream}/sandbox-chat", **case.arguments}
    parts: list[ollama.GenerateResponse]
    if stream:
        parts = list(speaker.client.generate(**arguments, stream=True))
    else:
        parts = [speaker.client.generate(**arguments, stream=False)]
    after = gateway.statistics()

    read_lines(ollama.GenerateResponse, speaker.wire.last, stream=stream)
    assert re.fullmatch(case.response, "".join(part.response or "" for part in parts))
    assert re.fullmatch(case.thinking, "".join(part.thinking or "" for part in parts))
    heard = ending(parts[-1], calls=False)
    assert heard["end"] is case.end
    assert heard["model"] == ("sandbox-chat" if upstream == "l" else f"{upstream}/sandbox-chat")
    assert heard["input_tokens"] == after.input_tokens - before.input_tokens > 0
    assert heard["output_tokens"] == after.output_tokens - before.output_tokens
    assert case.output_tokens in (None, heard["output_tokens"])
    assert speaker.wire.last.headers["x-forebay-target"] == f"{upstream}/sandbox-chat"


@pytest.mark.parametrize("upstream", UPSTREAMS)
@pytest.mark.parametrize(("keep_alive", "done_reason"), [(None, "load"), (0, "unload")])
def test_a_request_without_a_prompt_only_loads(
    gateway: LiveGateway,
    speaker: OllamaSpeaker,
    upstream: str,
    keep_alive: int | None,
    done_reason: str,
) -> None:
    """Traps 42 and 43: no upstream is asked."""
    before = gateway.statistics()
    model = f"{upstream}/sandbox-chat"
    generated = speaker.client.generate(model=model, keep_alive=keep_alive)
    assert (generated.done, generated.done_reason, generated.response) == (True, done_reason, "")
    chatted = speaker.client.chat(model=model, messages=[], keep_alive=keep_alive)
    assert (chatted.done, chatted.done_reason) == (True, done_reason)
    assert chatted.message.content == ""
    assert gateway.statistics().received == before.received


@pytest.mark.parametrize("upstream", ["o", "a"])
def test_line_breaks_inside_text_do_not_break_the_lines(
    speaker: OllamaSpeaker, upstream: str
) -> None:
    """The client cuts its lines at every line break that Unicode knows, JSON only at LF."""
    text = "\u2028one\u2029two\x85three\x0bfour"
    parts = speaker.client.generate(model=f"{upstream}/sandbox-chat", prompt=text, stream=True)
    assert "".join(part.response or "" for part in parts).startswith(f"You said: {text}\n")


def test_relayed_lines_are_those_of_ollama_which_escapes_most_line_breaks(
    speaker: OllamaSpeaker,
) -> None:
    """Bytes pass as they came. Ollama escapes all that this client would cut at but U+0085, with
    which it would break the client without a gateway as well."""
    text = "\u2028one\u2029two\x0bthree"
    parts = speaker.client.generate(model="l/sandbox-chat", prompt=text, stream=True)
    assert "".join(part.response or "" for part in parts).startswith(f"You said: {text}\n")
    with pytest.raises(json.JSONDecodeError):
        list(speaker.client.generate(model="l/sandbox-chat", prompt="\x85", stream=True))


@pytest.mark.parametrize("upstream", UPSTREAMS)
def test_json_mode_reaches_the_upstream(
    gateway: LiveGateway, speaker: OllamaSpeaker, upstream: str
) -> None:
    """Anthropic's API has no such mode: there the model can only be told."""
    said = speaker.client.generate(model=f"{upstream}/sandbox-chat", prompt="hi", format="json")
    assert said.response is not None
    if upstream == "a":
        assert "JSON" in str(json.loads(gateway.requests()[-1].body)["system"])
    else:
        assert json.loads(said.response) == {"you_said": "hi"}
