"""The gateway's own ``encrypted_content``: how another provider's thinking travels through clients
of this API.

Such a client keeps a reasoning item without looking into it and sends it back with the next turn.
What it must bring back is what the provider signed, to the byte: text, signature, redacted data.
The token is readable, not encrypted: it holds nothing that the client may not see, and a forged
one fails at the provider whose signature it lacks. Its prefix tells it from OpenAI's, so that it
is never sent there.
"""

from __future__ import annotations

import base64
import binascii

from forebay.protocol.canonical.requests import Dialect, Thinking
from forebay.protocol.dialects.openai.responses._names import RESPONSES
from forebay.protocol.jsontext import InvalidJson, JsonObject, dumps, loads_object

_PREFIX = "forebay.thinking.1."


def is_own_token(encrypted: str) -> bool:
    return encrypted.startswith("forebay.thinking.")


def encode_token(thinking: Thinking) -> str:
    """What :func:`decode_token` makes the same thinking of."""
    carried: JsonObject = {"text": thinking.text}
    if thinking.signature is not None:
        carried["signature"] = thinking.signature
    if thinking.redacted is not None:
        carried["redacted"] = thinking.redacted
    origins: JsonObject = {
        dialect: raw for dialect, raw in thinking.extras.items() if dialect != RESPONSES
    }
    if origins:
        carried["extras"] = origins
    try:
        text = dumps(carried)
    except InvalidJson:  # raw fields that are nested too deeply: it is the origin that matters
        text = dumps({**carried, "extras": {dialect: {} for dialect in origins}})
    return _PREFIX + base64.urlsafe_b64encode(text).decode()


def decode_token(token: str) -> Thinking | None:
    """The thinking that a token carries; None where the token is damaged, or of a later version:
    thinking may be left out, but not be made up."""
    if not token.startswith(_PREFIX):
        return None
    try:
        carried = loads_object(base64.b64decode(token[len(_PREFIX) :], b"-_", validate=True))
    except (InvalidJson, binascii.Error, ValueError):
        return None
    match carried:
        case {"text": str(text)}:
            pass
        case _:
            return None
    signature, redacted, extras = (
        carried.get(name) for name in ("signature", "redacted", "extras")
    )
    if not isinstance(signature, str | None) or not isinstance(redacted, str | None):
        return None
    origins = extras if isinstance(extras, dict) else {}
    return Thinking(
        text=text,
        signature=signature,
        redacted=redacted,
        extras={
            Dialect(name): raw
            for name, raw in origins.items()
            if isinstance(raw, dict) and name != RESPONSES
        },
    )
