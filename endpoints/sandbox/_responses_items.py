"""Reads the input items of OpenAI's Responses API, and holds them to its rules.

The rules that translators break most: parts are of the kind that their speaker may use; ids begin
as their kinds do; a call has a result and a result a call; reasoning comes back with the item that
it led to, and encrypted as it was given out. References to items lead nowhere: no item is kept
by itself.
"""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass, field

from forebay.endpoints.sandbox._conversation import Conversation
from forebay.endpoints.sandbox._failures import FailureKind, Refused
from forebay.endpoints.sandbox._fields import Fields, JsonType
from forebay.endpoints.sandbox._openai_errors import path_text
from forebay.endpoints.sandbox._openai_fields import bad, refused
from forebay.endpoints.sandbox._openai_images import read_image
from forebay.endpoints.sandbox._words import seed_of
from forebay.protocol.jsontext import JsonObject

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_OWN_REASONING_ID = re.compile(r"rs_[0-9a-f]{24}\d{3}")
_MAX_CALL_ID = 64
_SEALED = b"sandbox-reasoning:"
_COMPACTED = b"sandbox-conversation:"
_TO_MODEL = ("input_text", "input_image", "input_file")
_BY_MODEL = ("output_text", "refusal")
_PREFIXES = {
    "message": "msg",
    "function_call": "fc",
    "function_call_output": "fc",
    "reasoning": "rs",
    "compaction": "cmp",
}
"""Of the ids of items, by type."""


def encrypt(thinking: str) -> str:
    """The ``encrypted_content`` of reasoning that this sandbox made."""
    return base64.b64encode(_SEALED + b"%08x" % seed_of("reasoning", thinking)).decode()


def sealed_conversation(tokens: int) -> str:
    """The ``encrypted_content`` of a conversation that this sandbox compacted."""
    return base64.b64encode(_COMPACTED + b"%08x" % tokens).decode()


def check_name(holder: Fields) -> str:
    """The name of a function."""
    name = holder.text("name")
    if not _NAME.fullmatch(name):
        raise bad(
            path_text(holder.at("name")),
            "string does not match pattern. Expected '^[a-zA-Z0-9_-]{1,64}$'.",
        )
    return name


def unsupported_value(holder: Fields, name: str, allowed: tuple[str, ...]) -> Refused:
    """What the field holds is none of these."""
    quoted = ", ".join(f"'{one}'" for one in allowed)
    return refused(
        FailureKind.BAD_VALUE,
        f"Invalid value: '{holder.text(name)}'. Supported values are: {quoted}.",
        path_text(holder.at(name)),
    )


@dataclass(slots=True)
class Items(Conversation):
    """What they add up to."""

    listed: list[JsonObject] = field(default_factory=list)
    """All of them with ids, and content in parts."""
    _open_calls: list[str] = field(default_factory=list)
    """Calls that have no result yet."""
    _lone_reasoning: str | None = None
    """The id of reasoning that nothing has followed so far."""

    def add(self, item: Fields) -> None:
        """Raises Refused or FieldFault."""
        kind = item.optional_text("type") or "message"
        self._check_id(item, kind)
        self.listed.append(_listed(item.values, kind, len(self.listed)))
        match kind:
            case "message":
                self._add_message(item)
            case "function_call":
                self._add_call(item)
            case "function_call_output":
                self._add_result(item)
            case "reasoning":
                self._add_reasoning(item)
            case "compaction":
                self._add_compacted(item)
            case "item_reference":
                raise _not_found(item.text("id"))
            case _:
                raise unsupported_value(item, "type", (*_PREFIXES, "item_reference"))

    def add_text(self, text: str) -> None:
        """A whole input that is only text."""
        self.add(Fields({"role": "user", "content": text}))

    def end(self) -> None:
        """After the last item.

        Raises:
            Refused: a call is left without its result, or reasoning without what it led to.
        """
        self._check_reasoning()
        if self._open_calls:
            raise refused(
                FailureKind.BAD_VALUE,
                f"No tool output found for function call {self._open_calls[0]}.",
                "input",
            )

    def _check_id(self, item: Fields, kind: str) -> None:
        item_id = item.optional_text("id")
        prefix = _PREFIXES.get(kind)
        if item_id is not None and prefix is not None and not item_id.startswith(prefix):
            raise bad(
                path_text(item.at("id")),
                f"'{item_id}'. Expected an ID that begins with '{prefix}'.",
            )

    def _add_message(self, item: Fields) -> None:
        match item.text("role"):
            case "assistant":
                self._lone_reasoning = None
                self.results.clear()
                self._content(item, "content", _BY_MODEL)
            case "user":
                self._check_reasoning()
                self.results.clear()
                self.images.clear()
                self.user_text = self._content(item, "content", _TO_MODEL)
            case "system" | "developer":
                self._check_reasoning()
                self.system.append(self._content(item, "content", _TO_MODEL))
            case _:
                raise unsupported_value(item, "role", ("assistant", "system", "developer", "user"))

    def _content(self, holder: Fields, name: str, allowed: tuple[str, ...]) -> str:
        value = holder.values.get(name)
        if isinstance(value, str):
            self.size += len(value.encode())
            return value
        if value is None:
            holder.text(name)
        if not isinstance(value, list):
            raise holder.wrong(name, JsonType.TEXT)
        texts: list[str] = []
        for part in holder.objects(name):
            match part.text("type"):
                case kind if kind not in allowed:
                    raise unsupported_value(part, "type", allowed)
                case "input_image":
                    self._add_image(part)
                case "input_file":
                    pass
                case "refusal":
                    texts.append(part.text("refusal"))
                case _:
                    texts.append(part.text("text"))
        self.size += sum(len(text.encode()) for text in texts)
        return "\n".join(texts)

    def _add_image(self, part: Fields) -> None:
        if not self.model.vision:
            raise refused(
                FailureKind.UNSUPPORTED,
                "Unsupported parameter: 'input_image' is not supported with this model.",
                path_text(part.at("type")),
            )
        self.image_count += 1
        self.images.append(read_image(part, "image_url"))

    def _add_call(self, item: Fields) -> None:
        self._lone_reasoning = None
        self.results.clear()
        self.size += len(check_name(item)) + len(item.text("arguments").encode())
        self._open_calls.append(_call_id(item))

    def _add_result(self, item: Fields) -> None:
        self._check_reasoning()
        call_id = _call_id(item)
        if call_id not in self._open_calls:
            raise refused(
                FailureKind.BAD_VALUE,
                f"No tool call found for function call output with call_id {call_id}.",
                "input",
            )
        self._open_calls.remove(call_id)
        self.results.append(self._content(item, "output", _TO_MODEL))

    def _add_reasoning(self, item: Fields) -> None:
        item_id = item.text("id")
        item.array("summary")
        for part in item.objects("summary"):
            part.text("text")
        encrypted = item.optional_text("encrypted_content")
        if encrypted is None:
            if not _OWN_REASONING_ID.fullmatch(item_id):
                raise _not_found(item_id)
        elif not _is_ours(encrypted, _SEALED):
            raise _not_verified(item_id)
        self._lone_reasoning = item_id

    def _add_compacted(self, item: Fields) -> None:
        self._check_reasoning()
        if not _is_ours(item.text("encrypted_content"), _COMPACTED):
            raise _not_verified(item.optional_text("id") or "compaction")
        self.size += len(item.text("encrypted_content"))

    def _check_reasoning(self) -> None:
        if self._lone_reasoning is not None:
            raise refused(
                FailureKind.BAD_VALUE,
                f"Item '{self._lone_reasoning}' of type 'reasoning' was provided without its "
                "required following item.",
                "input",
            )


def _call_id(item: Fields) -> str:
    call_id = item.text("call_id")
    path = path_text(item.at("call_id"))
    if not call_id:
        raise bad(path, "empty string. Expected a string with minimum length 1.")
    if len(call_id) > _MAX_CALL_ID:
        raise refused(
            FailureKind.BAD_VALUE,
            f"Invalid '{path}': string too long. Expected a string with maximum length "
            f"{_MAX_CALL_ID}, but got a string with length {len(call_id)} instead.",
            path,
            "string_above_max_length",
        )
    return call_id


def _listed(item: JsonObject, kind: str, at: int) -> JsonObject:
    content = item.get("content")
    if isinstance(content, str):
        by_model = item.get("role") == "assistant"
        part: JsonObject = {"type": "output_text" if by_model else "input_text", "text": content}
        content = [{**part, "annotations": []} if by_model else part]
    listed: JsonObject = {"id": f"{_PREFIXES.get(kind, kind)}_input_{at}", **item, "type": kind}
    return {**listed, "content": content} if "content" in item else listed


def _is_ours(encrypted: str, seal: bytes) -> bool:
    try:
        return base64.b64decode(encrypted, validate=True).startswith(seal)
    except ValueError:
        return False


def _not_verified(item_id: str) -> Refused:
    return refused(
        FailureKind.BAD_VALUE,
        f"The encrypted content for item {item_id} could not be verified.",
        "input",
        "invalid_encrypted_content",
    )


def _not_found(item_id: str) -> Refused:
    return refused(
        FailureKind.BAD_VALUE,
        f"Item with id '{item_id}' not found.",
        "input",
        "item_not_found",
    )
