"""Images as OpenAI's APIs take them: by address, or whole in a data URL (RFC 2397)."""

from __future__ import annotations

import re

from forebay.endpoints.sandbox._call import Image
from forebay.endpoints.sandbox._fields import Fields
from forebay.endpoints.sandbox._images import BadImage, decode
from forebay.endpoints.sandbox._openai_errors import path_text
from forebay.endpoints.sandbox._openai_fields import bad

_DATA_URL = re.compile(r"data:([^;,]*)(?:;[^,]*)?;base64,(.*)", re.DOTALL)


def read_image(holder: Fields, name: str) -> Image:
    """The image that the text of this name leads to.

    Raises:
        Refused: the text is neither an address nor a data URL, or its data no base64.
        FieldFault: there is no such text.
    """
    url = holder.text(name)
    path = path_text(holder.at(name))
    if url.startswith(("http://", "https://")):
        return Image("", 0, url)
    found = _DATA_URL.fullmatch(url)
    if found is None:
        raise bad(path, "expected an http(s) address or 'data:<type>;base64,...'.")
    try:
        data = decode(found[2])
    except BadImage as fault:
        raise bad(path, f"the image is {fault}.") from None
    return Image(found[1], len(data))
