"""Streams, in both directions; and the streams of several calls as the stream of one."""

from __future__ import annotations

from typing import assert_never

from forebay.protocol.canonical.errors import ApiError
from forebay.protocol.canonical.events import (
    ArgumentsDelta,
    Aside,
    Finish,
    PartStart,
    PartStop,
    SignatureDelta,
    Start,
    StreamError,
    StreamEvent,
    TextDelta,
    ThinkingDelta,
    Usage,
    UsageReport,
    summed_usage,
)
from forebay.protocol.dialects.base import ReplyContext, StreamEncoder
from forebay.protocol.dialects.openai._error_encoding import encode_api_error
from forebay.protocol.dialects.openai._names import COMPLETIONS
from forebay.protocol.dialects.openai._stream_frames import (
    DONE,
    WHILE_QUEUED,
    WHILE_SILENT,
    framed,
)
from forebay.protocol.dialects.openai._usage import (
    encode_usage,
    estimated_usage,
    with_rest_of_usage,
)
from forebay.protocol.dialects.openai.chat import ChatStreamDecoder
from forebay.protocol.dialects.openai.completions._answers import (
    answer_id,
    bytes_of,
    choice_of,
    encode_finish,
    said_in_chat,
    with_raw_choice,
)
from forebay.protocol.jsontext import JsonObject, JsonValue, dumps

_OWN_FIELDS = frozenset({"id", "object", "created", "model", "choices", "usage"})


class CompletionStreamDecoder(ChatStreamDecoder):
    """Reads choice 0 of a stream, whose chunks differ from a chat's in where their text stands."""

    _raw_name = COMPLETIONS

    def _delta_of(self, choice: JsonObject) -> JsonValue:
        return said_in_chat(choice)


class JoinedCompletionStream:
    """Writes the events of several answers as one stream for a client that asked for them at once.

    Chunks of different answers may come in any order; a client tells them by their index. The
    first failure is that of the whole stream.

    Args:
        context: Of the client's own request.
        count: How many answers there are.
    """

    def __init__(self, context: ReplyContext, count: int) -> None:
        self._context = context
        self._wants_usage = context.request.stream_usage
        self._head = b""
        """Identity, the same in every chunk: written once, up to the brace that would close it."""
        self._usages: list[Usage | None] = [None] * count
        self._unfinished = set(range(count))
        self._ended = False
        self._written_bytes = 0
        self._said: JsonObject = {}
        """Of the whole answer, in every chunk."""
        self._raw_usage: JsonValue = None

    def encode(self, index: int, event: StreamEvent) -> bytes:
        """The bytes that say ``event`` of answer ``index``, which counts from 0 in the order of
        ``split_completion``; may be empty."""
        if self._ended or index not in self._unfinished:
            return b""
        match event:
            case Start():
                self._start(index, event)
                return b""
            case TextDelta():
                return self._text(index, event)
            case Aside():
                return self._aside(index, event)
            case UsageReport():
                self._usages[index] = event.usage
                return b""
            case Finish():
                return self._finish(index, event)
            case StreamError():
                return self.fail(event.error)
            case ThinkingDelta():
                # This API has no place for it.
                self._written_bytes += bytes_of(event.text)
                return b""
            case PartStart() | PartStop() | SignatureDelta() | ArgumentsDelta():
                return b""
            case _:
                assert_never(event)

    def fail(self, error: ApiError) -> bytes:
        """The bytes that end the whole stream with ``error``; empty where it has ended."""
        if self._ended:
            return b""
        self._ended = True
        return framed(encode_api_error(error).body)

    def keepalive(self) -> bytes:
        return WHILE_SILENT if self._head else WHILE_QUEUED

    def _start(self, index: int, event: Start) -> None:
        if event.usage is not None:
            self._usages[index] = event.usage
        if self._head:
            return
        identity: JsonObject = {
            "id": answer_id(event.id, self._context),
            "object": "text_completion",
            "created": event.created or self._context.created,
            "model": self._context.request.model,
        }
        raw = event.extras.get(COMPLETIONS, {}) if len(self._usages) == 1 else {}
        for name, value in raw.items():
            if name not in ("choices", "usage"):
                identity.setdefault(name, value)
        self._said = identity
        self._head = b"data: " + dumps(identity)[:-1]

    def _text(self, index: int, event: TextDelta) -> bytes:
        raw = (event.extras or {}).get(COMPLETIONS)
        if not event.text and not raw:
            return b""
        self._written_bytes += bytes_of(event.text)
        return self._choice_chunk({**choice_of(event.text, index), **(raw or {})})

    def _aside(self, index: int, event: Aside) -> bytes:
        raw = event.extras.get(COMPLETIONS, {})
        choices = raw.get("choices")
        of_choice = choices[0] if isinstance(choices, list) and choices else {}
        # What is of the whole answer is only said where that is one call's, and only once.
        news = {
            name: value
            for name, value in raw.items()
            if len(self._usages) == 1 and name not in self._said and name not in _OWN_FIELDS
        }
        if not self._head or not (of_choice or news):
            return b""
        assert isinstance(of_choice, dict)
        return self._choice_chunk({**choice_of("", index), **of_choice}, news)

    def _finish(self, index: int, event: Finish) -> bytes:
        self._unfinished.discard(index)
        raw = event.extras.get(COMPLETIONS, {})
        if len(self._usages) == 1:
            self._raw_usage = raw.get("usage")
        choice = with_raw_choice(
            choice_of("", index, encode_finish(event.reason), stop_sequence=event.stop_sequence),
            raw.get("choices"),
        )
        last = self._choice_chunk(choice)
        if self._unfinished:
            return last
        self._ended = True
        return last + self._usage_chunk() + DONE

    def _usage_chunk(self) -> bytes:
        if not self._wants_usage:
            return b""
        usage = summed_usage(self._usages) or estimated_usage(
            input_tokens=self._context.input_tokens_estimate, output_bytes=self._written_bytes
        )
        counts = with_rest_of_usage(encode_usage(usage), self._raw_usage)
        return self._chunk({"choices": [], "usage": counts})

    def _choice_chunk(self, choice: JsonObject, more: JsonObject | None = None) -> bytes:
        fields: JsonObject = {**(more or {}), "choices": [choice]}
        if self._wants_usage:
            fields["usage"] = None
        return self._chunk(fields)

    def _chunk(self, fields: JsonObject) -> bytes:
        return b"%b,%b\n\n" % (self._head, dumps(fields)[1:])


class CompletionStreamEncoder(StreamEncoder):
    """Writes one answer."""

    def __init__(self, context: ReplyContext) -> None:
        self._stream = JoinedCompletionStream(context, 1)

    def encode(self, event: StreamEvent) -> bytes:
        return self._stream.encode(0, event)

    def keepalive(self) -> bytes:
        return self._stream.keepalive()
