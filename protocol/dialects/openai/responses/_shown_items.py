"""The items of one stream as a client sees them: what has been said of each, and how to say more.

Each kind of item knows the events of its life: it begins, its parts are fed and stop, it ends and
is repeated whole.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeAlias

from forebay.protocol.canonical.events import PartKind, PartStart, PartStop
from forebay.protocol.canonical.requests import Opaque, Refusal, Text, Thinking
from forebay.protocol.dialects.fields import rest_of
from forebay.protocol.dialects.openai.responses._answer_items import (
    SECRET,
    ItemForm,
    content_part,
    message_item,
    reasoning_item,
)
from forebay.protocol.dialects.openai.responses._call_forms import custom_input
from forebay.protocol.dialects.openai.responses._names import ITEM, RESPONSES, kept, raw_of
from forebay.protocol.jsontext import JsonObject, JsonValue

Say: TypeAlias = Callable[[str, JsonObject], None]
"""Writes one event of this item; its ``output_index`` is added."""


class ShownItem(ABC):
    visible_at_once = False
    """It is shown as soon as it begins, without any words."""

    def __init__(self) -> None:
        self.output_index: int | None = None
        """None: the client does not know of it."""
        self.open_parts = 0
        self.sealed = False
        """Another item has begun."""
        self.ended = False
        self._final: JsonObject | None = None

    @property
    def shown(self) -> JsonObject | None:
        """The item as the client saw it end; None before."""
        return self._final

    @property
    def kept(self) -> JsonObject | None:
        """The item with all that the next turn needs."""
        return self._final

    def begin_part(self, event: PartStart) -> None:
        """A part of it begins."""

    def visible_at_end(self, event: PartStop) -> bool:
        """Whether it is shown although it never said a word."""
        return False

    @abstractmethod
    def begin(self, say: Say) -> None: ...

    @abstractmethod
    def add(self, say: Say, index: int, fragment: str) -> None: ...

    @abstractmethod
    def stop_part(self, say: Say, event: PartStop) -> None: ...

    def end(self, say: Say, status: str) -> None:
        self.ended = True
        self._final = self._whole(status)
        say("response.output_item.done", {"item": self.shown})

    @abstractmethod
    def _whole(self, status: str) -> JsonObject: ...

    def _begin_with(self, say: Say, item: JsonObject) -> None:
        say("response.output_item.added", {"item": item})


@dataclass(slots=True)
class _Content:
    kind: PartKind
    index: int = -1
    """Its ``content_index``; -1 before its first word."""
    fragments: list[str] = field(default_factory=list)
    whole: Text | Refusal | None = None


class ShownMessage(ShownItem):
    """Text and refusals that follow each other."""

    def __init__(self, form: ItemForm, shell: JsonObject) -> None:
        """
        Args:
            shell: The upstream's own fields of the item.
        """
        super().__init__()
        self._id = form.item_id("msg", shell.get("id"))
        self._shell = {name: value for name, value in shell.items() if name != "status"}
        self._contents: dict[int, _Content] = {}
        self._shown_contents: list[_Content] = []

    @property
    def refused(self) -> bool:
        return any(content.kind is PartKind.REFUSAL for content in self._shown_contents)

    def begin_part(self, event: PartStart) -> None:
        self._contents[event.index] = _Content(event.kind)

    def begin(self, say: Say) -> None:
        self._begin_with(say, message_item(self._id, [], "in_progress", self._shell))

    def add(self, say: Say, index: int, fragment: str) -> None:
        content = self._contents[index]
        if content.index < 0:
            content.index = len(self._shown_contents)
            self._shown_contents.append(content)
            self._say(say, content, "content_part.added", part=content_part(_part(content)))
        content.fragments.append(fragment)
        if content.kind is PartKind.REFUSAL:
            self._say(say, content, "refusal.delta", delta=fragment)
        else:
            self._say(say, content, "output_text.delta", delta=fragment, logprobs=[])

    def stop_part(self, say: Say, event: PartStop) -> None:
        content = self._contents[event.index]
        given = raw_of(event.extras).get(ITEM)
        if isinstance(given, dict):
            self._shell = {**self._shell, **given}
        if content.index < 0:
            return
        raw = {name: value for name, value in raw_of(event.extras).items() if name != ITEM}
        content.whole = _part(content, raw)
        part = content_part(content.whole)
        annotations = part.get("annotations")
        for at, annotation in enumerate(annotations if isinstance(annotations, list) else ()):
            self._say(
                say,
                content,
                "output_text.annotation.added",
                annotation_index=at,
                annotation=annotation,
            )
        if content.kind is PartKind.REFUSAL:
            self._say(say, content, "refusal.done", refusal=part["refusal"])
        else:
            self._say(
                say, content, "output_text.done", text=part["text"], logprobs=part["logprobs"]
            )
        self._say(say, content, "content_part.done", part=part)

    def _whole(self, status: str) -> JsonObject:
        parts = [content.whole or _part(content) for content in self._shown_contents]
        return message_item(self._id, parts, status, self._shell)

    def _say(self, say: Say, content: _Content, name: str, **fields: JsonValue) -> None:
        where: JsonObject = {"item_id": self._id, "content_index": content.index}
        say(f"response.{name}", {**where, **fields})


def _part(content: _Content, raw: JsonObject | None = None) -> Text | Refusal:
    text = "".join(content.fragments)
    extras = kept(raw or {})
    return Refusal(text, extras) if content.kind is PartKind.REFUSAL else Text(text, extras)


class ShownCall(ShownItem):
    """A call, in the form in which its tool was declared."""

    visible_at_once = True

    def __init__(self, form: ItemForm, event: PartStart) -> None:
        super().__init__()
        given = raw_of(event.extras).get(ITEM)
        self._given: JsonObject = given if isinstance(given, dict) else {}
        self._form = form.call(event.call_name)
        self._id = form.item_id(self._form.id_prefix, self._given.get("id"))
        self._call_id = form.call_id(event.call_id)
        self._fragments: list[str] = []

    def begin(self, say: Say) -> None:
        self._begin_with(say, self._item("", "in_progress"))

    def add(self, say: Say, index: int, fragment: str) -> None:
        self._fragments.append(fragment)
        if not self._form.custom:
            self._say_delta(say, fragment)

    def stop_part(self, say: Say, event: PartStop) -> None:
        given = raw_of(event.extras).get(ITEM)
        if isinstance(given, dict):
            self._given = given
        if self._form.custom:
            # Its text is a string inside of JSON, readable only when it is whole.
            self._fragments = [custom_input("".join(self._fragments))]
            if self._fragments[0]:
                self._say_delta(say, self._fragments[0])
            done: JsonObject = {"item_id": self._id, "input": self._fragments[0]}
            say("response.custom_tool_call_input.done", done)
            return
        if not "".join(self._fragments).strip():
            self._fragments.append("{}")
            self._say_delta(say, "{}")
        say(
            "response.function_call_arguments.done",
            {"item_id": self._id, "name": self._form.name, "arguments": "".join(self._fragments)},
        )

    def _say_delta(self, say: Say, fragment: str) -> None:
        said = "custom_tool_call_input" if self._form.custom else "function_call_arguments"
        say(f"response.{said}.delta", {"item_id": self._id, "delta": fragment})

    def _whole(self, status: str) -> JsonObject:
        return self._item("".join(self._fragments), status)

    def _item(self, said: str, status: str) -> JsonObject:
        item = self._form.item(item_id=self._id, call_id=self._call_id, said=said, status=status)
        return {**self._given, **item}


class ShownReasoning(ShownItem):
    """Thinking, shown as a summary of one part."""

    def __init__(self, form: ItemForm, event: PartStart) -> None:
        super().__init__()
        given = raw_of(event.extras).get(ITEM)
        self._form = form
        self._id = form.item_id("rs", given.get("id") if isinstance(given, dict) else None)
        self._start = event
        self._fragments: list[str] = []
        self._given: JsonObject = {}
        self.signature: str | None = None

    @property
    def shown(self) -> JsonObject | None:
        return None if self._final is None else self._form.shown(self._final)

    def visible_at_end(self, event: PartStop) -> bool:
        if ITEM in raw_of(event.extras):
            return True
        secret = self.signature is not None or self._start.redacted is not None
        return secret and self._form.shows_secrets

    def hidden(self) -> None:
        """It is over, and the client was not told of it."""
        if self.signature is not None or self._start.redacted is not None:
            self._final = self._whole("completed")

    def begin(self, say: Say) -> None:
        item: JsonObject = {
            "id": self._id,
            "type": "reasoning",
            "status": "in_progress",
            "summary": [],
        }
        self._begin_with(say, item)

    def add(self, say: Say, index: int, fragment: str) -> None:
        if not self._fragments:
            self._say(say, "part.added", part={"type": "summary_text", "text": ""})
        self._fragments.append(fragment)
        self._say(say, "text.delta", delta=fragment)

    def stop_part(self, say: Say, event: PartStop) -> None:
        given = raw_of(event.extras).get(ITEM)
        if isinstance(given, dict):
            self._given = given
        if self._fragments:
            text = "".join(self._fragments)
            self._say(say, "text.done", text=text)
            self._say(say, "part.done", part={"type": "summary_text", "text": text})

    def _whole(self, status: str) -> JsonObject:
        item = reasoning_item(
            self._id,
            Thinking(
                text="".join(self._fragments),
                signature=self.signature,
                redacted=self._start.redacted,
                extras={
                    dialect: raw
                    for dialect, raw in self._start.extras.items()
                    if dialect != RESPONSES
                },
            ),
            status,
        )
        if self._given:
            # The upstream's own secret, or none; and its own words, where it repeats them.
            del item[SECRET]
            ours = {"id", "status"}
            if not self._given.get("summary") and not self._given.get("content"):
                ours |= {"summary", "content"}
            item.update(rest_of(self._given, ours))
        return item

    def _say(self, say: Say, name: str, **fields: JsonValue) -> None:
        where: JsonObject = {"item_id": self._id, "summary_index": 0}
        say(f"response.reasoning_summary_{name}", {**where, **fields})


class ShownOpaque(ShownItem):
    """An item that only this API has. Those of other dialects are their servers' own tools:
    nothing a client could act on."""

    def __init__(self, opaque: Opaque) -> None:
        super().__init__()
        self._opaque = opaque
        self.visible_at_once = opaque.dialect == RESPONSES

    def begin(self, say: Say) -> None:
        self._begin_with(say, self._opaque.raw)

    def add(self, say: Say, index: int, fragment: str) -> None:
        """It says nothing in pieces."""

    def stop_part(self, say: Say, event: PartStop) -> None:
        """It has no parts."""

    def _whole(self, status: str) -> JsonObject:
        return self._opaque.raw
