"""The names of this dialect and its APIs, and how to tell what came in it.

What a client said in this dialect carries the dialect's key in its ``extras``, with the raw fields
that the canonical form has no place for. For some things the key matters even with nothing under
it: a request, a reasoning setting, a thinking block, a file id. It says that Anthropic's own rules
were followed by whoever wrote them, so that they may go back as they came.
"""

from __future__ import annotations

from collections.abc import Iterable

from forebay.protocol.canonical.requests import Dialect, Extras
from forebay.protocol.dialects.base import Api
from forebay.protocol.dialects.fields import rest_of
from forebay.protocol.jsontext import JsonObject

ANTHROPIC = Dialect("anthropic")
ANTHROPIC_MESSAGES = Api("anthropic.messages")
ANTHROPIC_COUNT_TOKENS = Api("anthropic.count_tokens")


def kept(obj: JsonObject, known: Iterable[str]) -> Extras:
    """The fields of ``obj`` beyond ``known``, as extras; empty where there are none."""
    rest = rest_of(obj, known)
    return {ANTHROPIC: rest} if rest else {}


def marked(obj: JsonObject, known: Iterable[str]) -> Extras:
    """Like :func:`kept`, with the dialect's key even where there is nothing to keep."""
    return {ANTHROPIC: rest_of(obj, known)}


def is_native(extras: Extras) -> bool:
    """Whether what has these extras came in this dialect (see the module's docstring)."""
    return ANTHROPIC in extras


def raw_fields(extras: Extras) -> JsonObject:
    """The raw fields of this dialect; not to be changed."""
    return extras.get(ANTHROPIC, {})
