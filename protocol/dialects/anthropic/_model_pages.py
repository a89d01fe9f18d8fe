"""Pages of ``GET /v1/models``: ``limit``, ``after_id`` and ``before_id`` of Anthropic's API.

A list of which no page is asked for is given whole, where Anthropic gives twenty: clients that know
of no pages miss nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from forebay.protocol.canonical.errors import bad_request
from forebay.protocol.dialects.base import ModelPage

_USUAL: Final = 20
_MOST: Final = 1000


def page_of(ids: Sequence[str], query: Mapping[str, str]) -> ModelPage | None:
    """The page that ``query`` asks for; None: it asks for none.

    Raises:
        ApiFailure: BAD_REQUEST, it makes no sense or begins where nothing is.
    """
    after, before = query.get("after_id"), query.get("before_id")
    if "limit" not in query and after is None and before is None:
        return None
    limit = _limit(query.get("limit"))
    if after is not None and before is not None:
        raise bad_request("only one of 'after_id' and 'before_id' may be given", param="before_id")
    if before is not None:
        stop = _place(ids, before, "before_id")
        start = max(0, stop - limit)
        return ModelPage(start, stop, more=start > 0)
    start = 0 if after is None else _place(ids, after, "after_id") + 1
    stop = min(len(ids), start + limit)
    return ModelPage(start, stop, more=stop < len(ids))


def _limit(text: str | None) -> int:
    if text is None:
        return _USUAL
    if not (text.isascii() and text.isdecimal() and 1 <= int(text[:9]) <= _MOST):
        raise bad_request(f"limit: must be a whole number from 1 to {_MOST}", param="limit")
    return int(text)


def _place(ids: Sequence[str], name: str, field: str) -> int:
    try:
        return ids.index(name)
    except ValueError:
        raise bad_request(
            f"{field}: no model of that id is in the list; begin without it", param=field
        ) from None
