"""Ids of tool calls: made to fit a dialect, and made up where a dialect carries none.

Everything here is a pure function of the conversation, so that the same history gives the same
ids in every later request (providers cache prompts by their exact prefix) and a call and its
result always end up with the same id.
"""

from __future__ import annotations

import hashlib
import re
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from forebay.protocol.canonical.requests import Part, Role, ToolCall, ToolResult, Turn

_SHORT_ID = re.compile(r"[a-zA-Z0-9]{9}")


def fitted_id(given_id: str, *, pattern: re.Pattern[str], max_length: int) -> str:
    """``given_id`` itself where it suits the dialect, else a stand-in that depends on it alone.

    Never cut: two long ids with a common prefix stay apart.

    Args:
        given_id: The id as another dialect or server wrote it. Run :func:`with_tool_ids` first
            where ids may be empty, since all empty ids have the same stand-in.
        pattern: What a whole id must match.
        max_length: In characters; at least 29, the length of a stand-in.
    """
    if given_id and len(given_id) <= max_length and pattern.fullmatch(given_id):
        return given_id
    return _derived_id(given_id)


def is_short_id(given_id: str) -> bool:
    return _SHORT_ID.fullmatch(given_id) is not None


def with_short_ids(turns: tuple[Turn, ...]) -> tuple[Turn, ...]:
    """The same turns, with ids of nine letters and digits, as Mistral wants them: stand-ins that
    depend on the id alone, where it is another."""
    return tuple(replace(turn, parts=tuple(map(_with_short_id, turn.parts))) for turn in turns)


def _with_short_id(part: Part) -> Part:
    match part:
        case ToolCall():
            return replace(part, id=_short_id(part.id))
        case ToolResult():
            return replace(part, call_id=_short_id(part.call_id))
        case _:
            return part


def _short_id(given_id: str) -> str:
    if is_short_id(given_id):
        return given_id
    return hashlib.sha256(given_id.encode("utf-8", "surrogatepass")).hexdigest()[:9]


def issued_id(given_id: str, *, response_id: str, position: int) -> str:
    """The id under which a call of an answer is shown to a client: never empty.

    Args:
        given_id: The upstream's id of the call, or "".
        response_id: What makes the answer's own id unique (``ReplyContext.response_id``).
        position: Counts the calls of the answer from 0.
    """
    return given_id or _derived_id(f"{response_id}\0{position}")


def with_tool_ids(turns: tuple[Turn, ...]) -> tuple[Turn, ...]:
    """The same turns, with every call and result carrying an id, and no two calls the same one.

    - A call without an id, or with the id of an earlier call (some servers count from
      ``call_0`` in every answer), gets one made from its position among all calls.
    - A result with an id belongs to the first unanswered call that came with this id in the
      last round of calls, else to the last call that did.
    - A result without an id belongs to the first unanswered call of its name in the last round,
      else to the first unanswered call of that round.
    - A result that belongs to no call keeps its id, or gets one where it has none.

    A round is what assistant turns call without a user turn between them.

    Returns:
        ``turns`` itself where nothing had to change.
    """
    pairing = _Pairing(_ids_of_calls(turns))
    changed = False
    renewed: list[Turn] = []
    for turn in turns:
        parts = tuple(pairing.renewed(part) for part in turn.parts)
        if turn.role is Role.USER:
            pairing.end_round()
        if any(new is not old for new, old in zip(parts, turn.parts, strict=True)):
            changed = True
            turn = replace(turn, parts=parts)
        renewed.append(turn)
    return tuple(renewed) if changed else turns


def _ids_of_calls(turns: Iterable[Turn]) -> set[str]:
    return {part.id for turn in turns for part in turn.parts if isinstance(part, ToolCall)}


def _derived_id(source: str) -> str:
    digest = hashlib.sha256(source.encode("utf-8", "surrogatepass")).hexdigest()
    return f"call_{digest[:24]}"


@dataclass(slots=True, eq=False)
class _Call:
    id: str
    answered: bool = False


@dataclass(slots=True)
class _OpenCalls:
    """The calls of one round, as a result without an id finds them."""

    in_order: deque[_Call] = field(default_factory=deque)
    by_name: dict[str, deque[_Call]] = field(default_factory=dict)

    def add(self, call: _Call, name: str) -> None:
        self.in_order.append(call)
        self.by_name.setdefault(name, deque()).append(call)

    def first(self, name: str | None) -> _Call | None:
        named = _first_unanswered(self.by_name.get(name)) if name is not None else None
        return named or _first_unanswered(self.in_order)


def _first_unanswered(calls: deque[_Call] | None) -> _Call | None:
    # Each call is dropped once, so that a whole conversation costs linear time.
    while calls:
        if not calls[0].answered:
            return calls[0]
        calls.popleft()
    return None


class _Pairing:
    """Walks a conversation and gives out ids."""

    def __init__(self, taken: set[str]) -> None:
        self._taken = taken
        self._used: set[str] = set()
        self._by_given_id: dict[str, deque[_Call]] = {}
        self._last_of_given_id: dict[str, _Call] = {}
        self._open = _OpenCalls()
        self._round_ended = False
        self._calls = 0
        self._orphans = 0

    def end_round(self) -> None:
        """The next call begins a new round; until then results still belong to this one."""
        self._round_ended = True

    def renewed(self, part: Part) -> Part:
        match part:
            case ToolCall():
                return self._call(part)
            case ToolResult():
                return self._result(part)
            case _:
                return part

    def _call(self, part: ToolCall) -> ToolCall:
        if self._round_ended:
            self._round_ended = False
            self._open = _OpenCalls()
            self._by_given_id = {}
        call_id = part.id
        if not call_id or call_id in self._used:
            call_id = self._unused(f"call {self._calls} {part.name}")
        self._calls += 1
        self._used.add(call_id)
        call = _Call(call_id)
        self._open.add(call, part.name)
        if part.id:
            self._by_given_id.setdefault(part.id, deque()).append(call)
            self._last_of_given_id[part.id] = call
        return part if call_id == part.id else replace(part, id=call_id)

    def _result(self, part: ToolResult) -> ToolResult:
        if part.call_id:
            given = self._by_given_id.get(part.call_id)
            call = _first_unanswered(given) or self._last_of_given_id.get(part.call_id)
        else:
            call = self._open.first(part.name)
        if call is None:
            if part.call_id:
                return part
            self._orphans += 1
            return replace(part, call_id=self._unused(f"orphan {self._orphans}"))
        call.answered = True
        return part if call.id == part.call_id else replace(part, call_id=call.id)

    def _unused(self, source: str) -> str:
        unused = _derived_id(source)
        while unused in self._taken:
            unused = _derived_id(unused)
        self._taken.add(unused)
        return unused
