"""Forms of several parts (``multipart/form-data``, RFC 7578): reading small fields among large
files, and replacing one of them in the bytes of a request, with nothing else altered.

Werkzeug reads the form; here its events are only laid over the bytes that they came from.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.http import parse_options_header
from werkzeug.sansio.multipart import (
    Data,
    Epilogue,
    Event,
    Field,
    File,
    MultipartDecoder,
    NeedData,
    Preamble,
)

FORM: Final = "multipart/form-data"

_MOST_PARTS: Final = 1000
_PIECE_BYTES: Final = 64 * 1024
"""The parser looks for a boundary much faster in pieces without one than in the whole."""
_LARGEST_FIELD: Final = 64 * 1024
_CONTROLS: Final = frozenset(map(chr, (*range(32), 127)))


class InvalidForm(ValueError):
    """The body is not the form that its content type announces; the message says why."""


@dataclass(frozen=True, slots=True)
class FormField:
    """A part that is no file."""

    name: str
    value: str
    """Of a very long one the beginning."""
    start: int
    """Where its bytes stand in the body."""
    end: int


@dataclass(frozen=True, slots=True)
class Form:
    """What there is in a form, apart from the contents of its files."""

    boundary: bytes
    fields: tuple[FormField, ...]
    files: int
    first_boundary_at: int

    def last(self, name: str) -> str | None:
        """The value of a field; of several the last."""
        return next((each.value for each in reversed(self.fields) if each.name == name), None)


def is_form(content_type: str | None) -> bool:
    """Whether a request of this type is a form of several parts."""
    return (content_type or "").partition(";")[0].strip().lower() == FORM


def read_form(body: bytes, content_type: str) -> Form:
    """Read a form, in time linear in its size.

    Raises:
        InvalidForm: it has no boundary, no end, or parts that can't be read.
    """
    boundary = parse_options_header(content_type)[1].get("boundary", "")
    if not boundary or not boundary.isascii():
        raise InvalidForm("its content type names no boundary")
    reader = _Reader(boundary.encode("ascii"))
    view = memoryview(body)
    try:
        for start in range(0, len(body), _PIECE_BYTES):
            reader.feed(bytes(view[start : start + _PIECE_BYTES]))
        reader.finish()
    except RequestEntityTooLarge:
        raise InvalidForm(f"it has more than {_MOST_PARTS} parts") from None
    except ValueError:
        raise InvalidForm(
            "it breaks off, goes on after its end, or one of its parts can't be read"
        ) from None
    return reader.form(body)


def with_field(body: bytes, form: Form, name: str, value: str) -> bytes:
    """``body``, of which ``form`` was read, with every field ``name`` saying ``value``; a form
    without such a field gets one, in front.

    Raises:
        InvalidForm: ``value`` holds what no single line of a form can.
    """
    if not _CONTROLS.isdisjoint(value):
        raise InvalidForm(f"'{name}' holds a control character")
    encoded = value.encode("utf-8", "surrogatepass")
    spans = [(field.start, field.end) for field in form.fields if field.name == name]
    if not spans:
        at = form.first_boundary_at
        part = b'--%b\r\nContent-Disposition: form-data; name="%b"\r\n\r\n%b\r\n' % (
            form.boundary,
            name.encode(),
            encoded,
        )
        return b"".join((body[:at], part, body[at:]))
    pieces: list[bytes] = []
    copied = 0
    for start, end in spans:
        pieces += (body[copied:start], encoded)
        copied = end
    pieces.append(body[copied:])
    return b"".join(pieces)


class _Reader:
    """Follows the parser's events through the bytes."""

    def __init__(self, boundary: bytes) -> None:
        self._boundary = boundary
        self._decoder = MultipartDecoder(boundary, max_parts=_MOST_PARTS)
        self._fed = 0
        self._preamble = 0
        self._fields: list[tuple[str, bytes, int, int]] = []
        self._files = 0
        self._name: str | None = None
        self._start = 0
        """Of the value, before the line break that ends the part's head."""
        self._kept = bytearray()
        self._size = 0

    def feed(self, piece: bytes) -> None:
        self._fed += len(piece)
        self._decoder.receive_data(piece)
        self._take_events()

    def finish(self) -> None:
        self._decoder.receive_data(None)
        self._take_events()

    def _take_events(self) -> None:
        while True:
            event = self._decoder.next_event()
            if isinstance(event, NeedData):
                return
            self._take(event)
            if isinstance(event, Epilogue):
                return

    def _take(self, event: Event) -> None:
        match event:
            case Preamble():
                self._preamble = len(event.data)
            case Field():
                self._name = event.name or ""
                self._start = self._fed - len(self._decoder.buffer)
                self._kept.clear()
                self._size = 0
            case File():
                self._name = None
                self._files += 1
            case Data() if self._name is not None:
                self._size += len(event.data)
                self._kept += event.data[: max(0, _LARGEST_FIELD - len(self._kept))]
                if not event.more_data:
                    self._fields.append((self._name, bytes(self._kept), self._start, self._size))
            case Epilogue() if b"--" + self._boundary in event.data:
                # Somebody else may read on, and find there what was not seen here.
                raise ValueError("more parts after the end")
            case _:
                pass

    def form(self, body: bytes) -> Form:
        fields = []
        for name, value, before, size in self._fields:
            start = before + _line_break(body, before)
            if not body.startswith(value, start):
                raise InvalidForm("one of its parts can't be read")
            fields.append(FormField(name, value.decode("utf-8", "replace"), start, start + size))
        return Form(
            self._boundary,
            tuple(fields),
            self._files,
            self._preamble + _line_break(body, self._preamble),
        )


def _line_break(body: bytes, at: int) -> int:
    """The length of the line break that stands there."""
    if body.startswith(b"\r\n", at):
        return 2
    return 1 if body[at : at + 1] in (b"\r", b"\n") else 0
