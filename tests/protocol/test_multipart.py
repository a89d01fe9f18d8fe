"""Forms: found fields, replaced fields, and nothing else touched."""

from __future__ import annotations

import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from forebay.protocol.multipart import InvalidForm, is_form, read_form, with_field

TYPE = "multipart/form-data; boundary=B0"
_TEXT = st.text(
    st.characters(codec="utf-8", min_codepoint=32, exclude_characters="\x7f"), max_size=12
)
_CONTENT = st.lists(
    st.sampled_from([b"\r\n", b"\n", b"\r", b"--", b"--B", b"\r\n--B1\r\n", b"name=model", b"\xff"])
).map(b"".join)
_PARTS = st.lists(st.tuples(st.sampled_from(["model", "file", "prompt"]), _CONTENT), max_size=5)


def _form(parts: list[tuple[str, bytes]], preamble: bytes = b"") -> bytes:
    pieces = [preamble]
    for name, content in parts:
        is_file = name == "file"
        head = f'Content-Disposition: form-data; name="{name}"' + '; filename="f"' * is_file
        pieces.append(b"--B0\r\n" + head.encode() + b"\r\n\r\n" + content + b"\r\n")
    return b"".join(pieces) + b"--B0--\r\n"


@given(_PARTS, _TEXT)
def test_a_replaced_model_leaves_all_other_bytes(
    parts: list[tuple[str, bytes]], model: str
) -> None:
    body = _form(parts)
    form = read_form(body, TYPE)
    assert form.files == sum(name == "file" for name, _ in parts)
    assert [(field.name, body[field.start : field.end]) for field in form.fields] == [
        part for part in parts if part[0] != "file"
    ]
    replaced = [(name, model.encode() if name == "model" else old) for name, old in parts]
    if not any(name == "model" for name, _ in parts):
        replaced.insert(0, ("model", model.encode()))
    assert with_field(body, form, "model", model) == _form(replaced)


@given(st.binary(max_size=80) | _PARTS.map(_form).map(lambda form: form[:-7]), st.booleans())
@example(b"--B0\r\n\r\n\r\n", False)
@example(b"--B0\r\nContent-Disposition: \xff\r\n\r\nx\r\n--B0--", False)
@example(b"--B0\r\nContent-Disposition: form-data\r\n\r\nx\r\n--B0--", False)
@example(b"--B0--", False)
def test_any_bytes_are_a_form_or_refused(body: bytes, begun: bool) -> None:
    body = b"--B0\r\n" * begun + body
    try:
        form = read_form(body, TYPE)
    except InvalidForm:
        return
    assert with_field(body, form, "model", "m")


def test_a_preamble_stays_in_front() -> None:
    body = _form([("prompt", b"x")], preamble=b"ignored --B0 here\r\n")
    form = read_form(body, TYPE)
    named = with_field(body, form, "model", "m")
    assert named == _form([("model", b"m"), ("prompt", b"x")], preamble=b"ignored --B0 here\r\n")


@pytest.mark.parametrize("line_break", [b"\n", b"\r"])
def test_line_breaks_that_others_take_are_seen_too(line_break: bytes) -> None:
    """What an upstream might read as a model must not be read here as part of a file."""
    body = _form([("file", b"x"), ("model", b"real")]).replace(b"\r\n", line_break)
    form = read_form(body, TYPE)
    assert form.last("model") == "real"
    assert with_field(body, form, "model", "m") == body.replace(b"real", b"m")


@pytest.mark.parametrize("end", [b"\r\n--B0--", b"--B0--\n"])
def test_nothing_hides_behind_the_end(end: bytes) -> None:
    """A reader that does not see that end would find another model there."""
    body = _form([("model", b"mine"), ("file", end), ("model", b"forbidden")])
    with pytest.raises(InvalidForm, match="goes on after its end"):
        read_form(body, TYPE)


@pytest.mark.parametrize(
    "value", ["a\r\n--B0\r\n", "a\nb", "\x00", "\x7f"], ids=["part", "line", "nul", "del"]
)
def test_a_name_that_would_leave_its_line_is_refused(value: str) -> None:
    body = _form([("model", b"old")])
    with pytest.raises(InvalidForm, match="control character"):
        with_field(body, read_form(body, TYPE), "model", value)


@pytest.mark.parametrize(
    "content_type",
    [
        "multipart/form-data",
        "multipart/form-data; boundary=",
        "multipart/form-data; boundary=\u00e9",
    ],
)
def test_a_form_needs_a_boundary(content_type: str) -> None:
    assert is_form(content_type)
    with pytest.raises(InvalidForm, match="boundary"):
        read_form(_form([]), content_type)


def test_forms_of_a_great_many_parts_are_refused() -> None:
    with pytest.raises(InvalidForm, match="more than 1000 parts"):
        read_form(_form([("prompt", b"")] * 1001), TYPE)


@pytest.mark.parametrize("piece", [b"\r\n", b"\r", b"\r\n--", b"x--B0", b"\r\n--B0x", b"\x00"])
def test_reading_is_linear_in_the_size(piece: bytes) -> None:
    """Line breaks and almost-boundaries are not looked at again and again."""

    def seconds(size: int) -> float:
        body = _form([("file", piece * (size // len(piece))), ("model", b"m")])
        began = time.process_time()
        assert read_form(body, TYPE).last("model") == "m"
        return time.process_time() - began

    small = max(min(seconds(500_000) for _ in range(3)), 0.002)
    assert min(seconds(4_000_000) for _ in range(2)) < small * 8 * 4
