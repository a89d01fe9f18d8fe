"""Streams of an Ollama server that go wrong in the middle, and then say that all is done."""

from __future__ import annotations

from imitation import Answers, Imitated

from forebay.protocol.jsontext import JsonObject, JsonValue, dumps


def line(content: str, **fields: JsonValue) -> bytes:
    """One line of a chat's stream."""
    said: JsonObject = {
        "model": "m",
        "created_at": "2026-11-22T10:00:00.5Z",
        "message": {"role": "assistant", "content": content},
        "done": False,
        **fields,
    }
    return dumps(said) + b"\n"


HELLO = line("Hello")
WORLD = line(" world")
DONE = line("", done=True, done_reason="stop", prompt_eval_count=3, eval_count=2)
GARBAGE = b'{"model":"m", <<garbage>>\n'

GOOD: tuple[bytes, ...] = (HELLO + WORLD, DONE)

UNREADABLE: dict[str, tuple[bytes, ...]] = {
    "garbage with the end": (HELLO, WORLD + GARBAGE + DONE),
    "garbage first, with the end": (HELLO, GARBAGE + DONE),
    "all at once": (HELLO + WORLD + GARBAGE + DONE,),
    "garbage, then the end": (HELLO, GARBAGE, DONE),
    "garbage in two reads": (HELLO, WORLD + GARBAGE[:9], GARBAGE[9:] + DONE),
    "no object": (HELLO, b'["a"]\n' + DONE),
    "not of this API": (HELLO, b'{"choices":[]}\n' + DONE),
    "aborted": (HELLO, line("", done=True, done_reason="abort")),
}
"""By what is wrong: the pieces in which a stream arrives."""


def answers(path: str, pieces: tuple[bytes, ...]) -> Answers:
    """Of an imitated server that has the model ``m``, and says ``pieces`` at ``path``."""
    listed = b'{"models":[{"name":"m:latest","model":"m:latest"}]}'
    return {
        "GET /api/tags": Imitated(listed),
        # Reads that are apart stay apart.
        f"POST {path}": Imitated(pieces, content_type="application/x-ndjson", pause=0.02),
    }
