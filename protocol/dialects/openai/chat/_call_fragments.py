"""Tool calls as they arrive in a stream: fragments, told apart in many ways.

OpenAI numbers the calls and gives id and name with the first fragment of each. Others repeat id and
name with every fragment, leave the number out, number every call 0, or send a call whole. A
fragment begins a new call where it brings an id that differs from the one of the call it would
otherwise go on with; without ids, where it brings a name and arguments that can't go on.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from forebay.protocol.canonical.events import (
    ArgumentsDelta,
    PartKind,
    PartStart,
    PartStop,
    StreamEvent,
)
from forebay.protocol.canonical.requests import Opaque
from forebay.protocol.dialects.openai._names import OPENAI
from forebay.protocol.dialects.openai._raw_fields import extras_of
from forebay.protocol.dialects.openai.chat._answer_decoding import (
    arguments_text,
    rest_of_call,
    text_field,
)
from forebay.protocol.jsontext import JsonObject, JsonValue


@dataclass(slots=True, eq=False)
class _Call:
    id: str
    name: str = ""
    part_index: int | None = None
    """None until the call is started: that waits for its name."""
    held: list[str] = field(default_factory=list)
    """Arguments that came before the name."""
    last: str = ""
    """The last character of the arguments so far."""
    custom_input: list[str] | None = None
    """The fragments of a custom call, which is shown whole at its end."""
    raw: JsonObject = field(default_factory=dict)
    """What its fragments said beyond that and is not told yet."""


class CallFragments:
    """Puts the calls of one answer together.

    Args:
        indexes: Gives the index of a part that begins; shared with whoever begins other parts. No
            bound method of theirs: it would make a cycle, and an ended stream would be garbage
            that waits for the collector.
    """

    def __init__(self, indexes: Iterator[int]) -> None:
        self._indexes = indexes
        self._calls: list[_Call] = []
        self._latest: _Call | None = None
        self._by_number: dict[int, _Call] = {}
        self._by_id: dict[str, _Call] = {}
        self._legacy: _Call | None = None

    @property
    def any(self) -> bool:
        """Whether there was a call that deserves the name."""
        return any(_is_real(call) for call in self._calls)

    def add(self, fragment: JsonObject) -> list[StreamEvent]:
        """One entry of ``delta.tool_calls``."""
        call_id = text_field(fragment, "id")
        custom = fragment.get("custom")
        if isinstance(custom, dict):
            call = self._call_of(fragment, call_id, text_field(custom, "name"), "")
            call.name = call.name or text_field(custom, "name")
            if call.part_index is None:
                if call.custom_input is None:
                    call.custom_input = []
                call.custom_input.append(text_field(custom, "input"))
            return []
        function = fragment.get("function")
        if not isinstance(function, dict):
            function = {}
        name = text_field(function, "name")
        arguments = arguments_text(function.get("arguments"))
        call = self._call_of(fragment, call_id, name, arguments)
        call.raw |= rest_of_call(fragment, function)
        return self._append(call, name, arguments)

    def add_function_call(self, function: JsonObject) -> list[StreamEvent]:
        """``delta.function_call``, of the form before tools: there is one call at most."""
        if self._legacy is None:
            self._legacy = self._opened("")
        return self._append(
            self._legacy, text_field(function, "name"), arguments_text(function.get("arguments"))
        )

    def close(self) -> list[StreamEvent]:
        """Ends all calls."""
        events: list[StreamEvent] = []
        for call in self._calls:
            if call.custom_input is not None:
                index = next(self._indexes)
                events.append(PartStart(index=index, kind=PartKind.OPAQUE, opaque=_custom(call)))
                events.append(PartStop(index))
            elif _is_real(call):
                events += self._started(call)
                assert call.part_index is not None
                events.append(PartStop(call.part_index, extras_of(call.raw)))
        self._calls = []
        self._latest = None
        self._by_number = {}
        self._by_id = {}
        self._legacy = None
        return events

    def _call_of(self, fragment: JsonObject, call_id: str, name: str, arguments: str) -> _Call:
        """The call that a fragment goes on with, or a new one."""
        number = _number(fragment.get("index"))
        call = self._by_number.get(number) if number is not None else self._latest
        if call is None or _begins_anew(call, call_id, name, arguments):
            known = self._by_id.get(call_id) if call_id else None
            call = known or self._opened(call_id)
        elif not call.id and call_id not in self._by_id:
            call.id = call_id
        if number is not None:
            self._by_number[number] = call
        if call.id:
            self._by_id[call.id] = call
        self._latest = call
        return call

    def _opened(self, call_id: str) -> _Call:
        call = _Call(call_id)
        self._calls.append(call)
        return call

    def _append(self, call: _Call, name: str, arguments: str) -> list[StreamEvent]:
        if call.custom_input is not None:
            return []  # one call is not of two kinds
        call.name = call.name or name
        call.last = arguments.rstrip()[-1:] or call.last
        if not call.name:
            call.held.append(arguments)
            return []
        events = self._started(call)
        if arguments:
            assert call.part_index is not None
            events.append(ArgumentsDelta(call.part_index, arguments))
        return events

    def _started(self, call: _Call) -> list[StreamEvent]:
        if call.part_index is not None:
            return []
        call.part_index = next(self._indexes)
        events: list[StreamEvent] = [
            PartStart(
                index=call.part_index,
                kind=PartKind.TOOL_CALL,
                call_id=call.id,
                call_name=call.name,
                extras=extras_of(call.raw),
            )
        ]
        call.raw = {}
        held = "".join(call.held)
        if held:
            events.append(ArgumentsDelta(call.part_index, held))
            call.held.clear()
        return events


def _begins_anew(call: _Call, call_id: str, name: str, arguments: str) -> bool:
    if call_id and call.id:
        return call_id != call.id
    if not name or not call.name:
        return False
    # A value can't follow a value: the server sends whole calls, and says so in no other way.
    return name != call.name or (call.last == "}" and arguments.lstrip()[:1] == "{")


def _is_real(call: _Call) -> bool:
    """Some servers send an empty fragment first, or last."""
    return bool(call.id or call.name or any(call.held) or call.custom_input is not None)


def _custom(call: _Call) -> Opaque:
    assert call.custom_input is not None
    custom: JsonObject = {"name": call.name, "input": "".join(call.custom_input)}
    return Opaque(OPENAI, {"id": call.id, "type": "custom", "custom": custom})


def _number(value: JsonValue) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None
