"""Links to images and files: data URLs (RFC 2397), which carry everything inline in this dialect,
and those of the web."""

from __future__ import annotations

import re

from forebay.protocol.canonical.errors import bad_request
from forebay.protocol.canonical.requests import InlineData, UrlSource
from forebay.protocol.media_types import media_type_shown

_DATA_URL = re.compile(r"data:(?P<type>[^;,]*)(?P<parameters>(?:;[^;,]*)*?);base64,", re.IGNORECASE)
_SPACE = re.compile(r"\s")


def decode_data_url(url: str) -> InlineData | None:
    """The data inside a base64 data URL; None where ``url`` is not one. A media type that the URL
    does not name is left open."""
    head = _DATA_URL.match(url)
    if head is None:
        return None
    return InlineData(
        base64=without_space(url[head.end() :]),
        media_type=head["type"].strip().lower() or None,
    )


def encode_data_url(data: InlineData, *, default_type: str, as_said: bool) -> str:
    """A data URL of the type that the data shows, or else was said to be of.

    Args:
        as_said: What was said counts first: a client of this dialect said it.
    """
    said, shown = data.media_type, media_type_shown(data.base64)
    media_type = (said or shown if as_said else shown or said) or default_type
    return f"data:{media_type};base64,{data.base64}"


def image_source(url: str, path: str) -> InlineData | UrlSource:
    """What an image's link says.

    Raises:
        ApiFailure: BAD_REQUEST, it is neither inline nor of the web.
    """
    inline = decode_data_url(url)
    if inline is not None:
        return inline
    if is_web_link(url):
        return UrlSource(url)
    raise bad_request(
        f"'{path}' must be an http or https link, or a data URL in base64 "
        "(data:image/png;base64,...)",
        param=path,
        code="invalid_value",
    )


def is_web_link(url: str) -> bool:
    return url[:8].lower().startswith(("http://", "https://"))


def without_space(base64: str) -> str:
    """Base64 without the line breaks that some encoders put in."""
    return _SPACE.sub("", base64) if _SPACE.search(base64) else base64
