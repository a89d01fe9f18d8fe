"""A reader for servers of which nothing is known but that they speak OpenAI's chat API."""

from __future__ import annotations

from forebay.protocol.providers.limits.anthropic_headers import read_anthropic
from forebay.protocol.providers.limits.ietf_headers import read_ietf
from forebay.protocol.providers.limits.openai_headers import openai_reader
from forebay.protocol.providers.limits.plain_headers import read_plain
from forebay.protocol.providers.limits.readings import AnswerHead, LimitReader, LimitReading


def any_reader(
    *, requests_window: float | None = None, tokens_window: float | None = None
) -> LimitReader:
    """Tries every notation, OpenAI's first; the windows are as of `openai_reader`.

    Where two notations have a limit of the same name, the first one's counts.
    """
    read_openais = openai_reader(requests_window=requests_window, tokens_window=tokens_window)

    def read(head: AnswerHead) -> tuple[LimitReading, ...]:
        families = {name.partition("-")[0] for name in head.headers if "limit" in name}
        readings: dict[str, LimitReading] = {}
        for family, readers in (
            ("x", (read_openais, read_plain)),
            ("anthropic", (read_anthropic,)),
            ("ratelimit", (read_ietf,)),
        ):
            if family in families:
                for reader in readers:
                    for reading in reader(head):
                        readings.setdefault(reading.name, reading)
        return tuple(readings.values())

    return read


read_any = any_reader()
