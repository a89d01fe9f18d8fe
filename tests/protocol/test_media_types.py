"""What inline data is, by its first bytes, and in whatever dialect it is sent on."""

from __future__ import annotations

from base64 import b64encode

import pytest

from forebay.protocol.canonical.errors import ApiFailure
from forebay.protocol.dialects.anthropic import ANTHROPIC_MESSAGES
from forebay.protocol.dialects.base import Api, UpstreamTraits
from forebay.protocol.dialects.ollama import OLLAMA_CHAT
from forebay.protocol.dialects.openai import OPENAI_CHAT
from forebay.protocol.dialects.registry import CODECS
from forebay.protocol.jsontext import JsonObject, dumps_text
from forebay.protocol.media_types import media_type_shown

FILES = {
    "image/png": b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR",
    "image/jpeg": b"\xff\xd8\xff\xe0\x00\x10JFIF",
    "image/gif": b"GIF89a\x01\x00\x01\x00",
    "image/webp": b"RIFF\x24\x00\x00\x00WEBPVP8 ",
    "image/bmp": b"BM\x46\x00\x00\x00\x00\x00\x00\x00\x36\x00",
    "image/tiff": b"II*\x00\x08\x00\x00\x00",
    "application/pdf": b"%PDF-1.7\n",
}


@pytest.mark.parametrize("rest", [b"", b"\x00", b"\x00" * 500], ids=len)
@pytest.mark.parametrize(("media_type", "start"), FILES.items(), ids=FILES)
def test_the_first_bytes_show_what_it_is(media_type: str, start: bytes, rest: bytes) -> None:
    assert media_type_shown(b64encode(start + rest).decode()) == media_type


@pytest.mark.parametrize(
    "data", [b"", b"BMW is a make of cars", b"RIFF\x24\x00\x00\x00WAVEfmt ", b"\x89PN", b"<svg>"]
)
def test_nothing_is_guessed(data: bytes) -> None:
    assert media_type_shown(b64encode(data).decode()) is None


@pytest.mark.parametrize("text", ["A", "iVBORw0KGg", "ÿ", "!!!!"])
def test_what_is_no_base64_shows_nothing(text: str) -> None:
    assert media_type_shown(text) is None


def asking_with_image(client: Api, said: str, data: str) -> JsonObject:
    """A request with an image that is said to be of a type, where the dialect says one."""
    message: JsonObject
    match client:
        case "ollama.chat":
            message = {"role": "user", "content": "look", "images": [data]}
        case "anthropic.messages":
            source: JsonObject = {"type": "base64", "media_type": said, "data": data}
            message = {"role": "user", "content": [{"type": "image", "source": source}]}
        case _:
            url: JsonObject = {"url": f"data:{said};base64,{data}"}
            message = {"role": "user", "content": [{"type": "image_url", "image_url": url}]}
    return {"model": "m", "max_tokens": 9, "messages": [message]}


@pytest.mark.parametrize("said", ["image/png", "image/jpeg"])
@pytest.mark.parametrize("shown", ["image/png", "image/jpeg", "image/gif", "image/webp"])
@pytest.mark.parametrize(
    ("client", "upstream"),
    [
        (OPENAI_CHAT, ANTHROPIC_MESSAGES),
        (OLLAMA_CHAT, ANTHROPIC_MESSAGES),
        (ANTHROPIC_MESSAGES, ANTHROPIC_MESSAGES),
        (ANTHROPIC_MESSAGES, OPENAI_CHAT),
        (OLLAMA_CHAT, OPENAI_CHAT),
    ],
)
def test_trap_41_an_image_is_sent_on_as_what_it_is(
    client: Api, upstream: Api, shown: str, said: str
) -> None:
    data = b64encode(FILES[shown]).decode()
    request = CODECS[client].decode_request(asking_with_image(client, said, data))
    body = dumps_text(CODECS[upstream].encode_request(request, UpstreamTraits()).body)
    if upstream == ANTHROPIC_MESSAGES:
        assert f'"media_type":"{shown}","data":"{data}"' in body
    else:
        assert f'"url":"data:{shown};base64,{data}"' in body


def test_a_data_url_goes_on_to_its_own_dialect_as_it_was_said() -> None:
    """As it would if its bytes were relayed."""
    body = asking_with_image(OPENAI_CHAT, "image/png", b64encode(FILES["image/jpeg"]).decode())
    request = CODECS[OPENAI_CHAT].decode_request(body)
    sent = CODECS[OPENAI_CHAT].encode_request(request, UpstreamTraits()).body
    assert sent["messages"] == body["messages"]


@pytest.mark.parametrize("shown", ["image/bmp", "image/tiff"])
@pytest.mark.parametrize("client", [OPENAI_CHAT, OLLAMA_CHAT])
def test_anthropic_is_not_sent_an_image_that_it_refuses(client: Api, shown: str) -> None:
    data = b64encode(FILES[shown]).decode()
    request = CODECS[client].decode_request(asking_with_image(client, "image/png", data))
    with pytest.raises(ApiFailure, match=shown):
        CODECS[ANTHROPIC_MESSAGES].encode_request(request, UpstreamTraits())
