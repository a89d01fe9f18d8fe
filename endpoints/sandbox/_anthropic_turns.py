"""Reads the turns of an Anthropic conversation, and holds them to the API's rules.

The rules that translators break most: the first turn is the user's; text is not blank; every tool
use is answered in the very next turn, results first; nothing answers a tool use that was not made;
ids are plain; thinking comes back exactly as it was signed; an image is what it is declared to be.
"""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass, field

from forebay.endpoints.sandbox._anthropic_errors import bad
from forebay.endpoints.sandbox._call import Image
from forebay.endpoints.sandbox._conversation import Conversation
from forebay.endpoints.sandbox._failures import Failure, FailureKind, Refused
from forebay.endpoints.sandbox._fields import Fields, JsonType
from forebay.endpoints.sandbox._images import BadImage, decode, sniff
from forebay.endpoints.sandbox._words import seed_of
from forebay.protocol.jsontext import JsonObject, dumps

_ID = re.compile(r"[a-zA-Z0-9_-]+")
_TOOL_NAME = re.compile(r"[a-zA-Z0-9_-]{1,128}")
_IMAGE_TYPES = ("image/jpeg", "image/png", "image/gif", "image/webp")


def sign(thinking: str) -> str:
    """The signature of a thinking block that this sandbox made."""
    return base64.b64encode(b"sandbox:%08x" % seed_of("thinking", thinking)).decode()


def _is_signed(thinking: str, signature: str) -> bool:
    if thinking:
        return signature == sign(thinking)
    # Its text was left out at the client's wish; any signature of ours will do.
    try:
        return base64.b64decode(signature, validate=True).startswith(b"sandbox:")
    except ValueError:
        return False


@dataclass(slots=True)
class Turns(Conversation):
    """What they add up to."""

    said_before: str = ""
    """The text of a last turn of the assistant's, which is to be gone on with."""
    opens_with_thinking: bool = True
    """The assistant turn of a tool loop that is still open begins with thinking."""
    _role: str = ""
    _uses: list[str] = field(default_factory=list)
    _answered: list[str] = field(default_factory=list)
    _keeps_text: bool = False
    _count: int = 0

    def add(self, message: Fields) -> None:
        role = message.text("role")
        if role not in ("user", "assistant", "system"):
            raise bad(message.at("role"), "Input should be 'user' or 'assistant'")
        if role == "system":
            self.system.extend(self.texts(message, "content"))
            return
        if not self._role and role != "user":
            raise bad(message.path, 'first message must use the "user" role')
        if role != self._role:
            self._turn(role)
        blocks = self._blocks(message)
        for block in blocks:
            self._add_block(block, role, is_first=self._count == 0)
            self._count += 1

    def end(self) -> None:
        """After the last message.

        Raises:
            Refused: a tool use is left without its result.
        """
        if self._role == "user":
            self._check_answered()
        elif self._uses:
            raise self._unanswered(self._uses)
        if self.said_before[-1:].isspace():
            raise bad(("messages",), "final assistant content cannot end with trailing whitespace")

    def texts(self, holder: Fields, name: str) -> list[str]:
        """A field that is a string or a list of text blocks."""
        value = holder.values.get(name)
        if isinstance(value, str):
            self.size += len(value.encode())
            return [value]
        if not isinstance(value, list):
            raise holder.wrong(name, JsonType.LIST)
        found: list[str] = []
        for block in holder.objects(name):
            if block.text("type") != "text":
                raise bad(block.at("type"), "Input should be 'text'")
            found.append(self._text(block))
        return found

    def _turn(self, role: str) -> None:
        """Another speaker begins; messages of the same role in a row are one turn."""
        if role == "assistant":
            self._check_answered()
            self._uses = []
            self.results.clear()
        else:
            self.images.clear()
            self.results.clear()
            self._answered = []
            # A turn of tool results alone leaves the text that they are about.
            self._keeps_text = False
        self._role = role
        self._count = 0
        self.said_before = ""

    def _blocks(self, message: Fields) -> list[Fields]:
        value = message.values.get("content")
        if isinstance(value, str):
            block: JsonObject = {"type": "text", "text": value}
            return [Fields(block, message.at("content", 0))]
        if not message.has("content"):
            message.array("content")
        return message.objects("content")

    def _add_block(self, block: Fields, role: str, *, is_first: bool) -> None:
        kind = block.text("type")
        if role == "user" and kind == "tool_result":
            self._add_result(block)
            return
        if role == "user":
            self._check_answered()
        if kind == "text":
            text = self._text(block)
            if role == "user":
                self.user_text = f"{self.user_text}\n{text}" if self._keeps_text else text
                self._keeps_text = True
            else:
                self.said_before += text
        elif kind == "image" and role == "user":
            self._add_image(block)
        elif kind in ("document", "search_result") and role == "user":
            self.size += len(dumps(block.values))
        elif kind == "thinking" and role == "assistant":
            if not _is_signed(block.text("thinking"), block.text("signature")):
                raise bad(block.path, "Invalid `signature` in `thinking` block")
        elif kind == "redacted_thinking" and role == "assistant":
            block.text("data")
        elif kind == "tool_use" and role == "assistant":
            self._add_use(block)
        else:
            raise bad(block.path, f"'{kind}' blocks are not allowed in turns of the {role}")
        if role == "assistant" and is_first:
            self.opens_with_thinking = kind in ("thinking", "redacted_thinking")

    def _text(self, block: Fields) -> str:
        text = block.text("text")
        if not text:
            raise bad(block.path, "text content blocks must be non-empty")
        if text.isspace():
            raise bad(block.path, "text content blocks must contain non-whitespace text")
        self.size += len(text.encode())
        return text

    def _add_use(self, block: Fields) -> None:
        identifier = block.text("id")
        if not _ID.fullmatch(identifier):
            raise bad(block.at("id"), "String should match pattern '^[a-zA-Z0-9_-]+$'")
        self._uses.append(identifier)
        arguments = block.object("input").values
        self.size += len(tool_name(block)) + len(dumps(arguments))

    def _add_result(self, block: Fields) -> None:
        identifier = block.text("tool_use_id")
        if identifier not in self._uses:
            raise bad(
                block.path,
                f"unexpected `tool_use_id` found in `tool_result` blocks: {identifier}. Each "
                "`tool_result` block must have a corresponding `tool_use` block in the previous "
                "message.",
            )
        if identifier in self._answered:
            raise bad(
                block.path,
                "each tool_use must have a single result. Found multiple `tool_result` blocks "
                f"with id: {identifier}",
            )
        self._answered.append(identifier)
        if not block.has("content"):
            self.results.append("")
        elif isinstance(text := block.values["content"], str):
            # Unlike a text block, a result may be empty.
            self.size += len(text.encode())
            self.results.append(text)
        else:
            texts: list[str] = []
            for part in block.objects("content"):
                if part.text("type") == "image":
                    self._add_image(part)
                elif part.text("type") == "text":
                    texts.append(self._text(part))
                else:
                    self.size += len(dumps(part.values))
            self.results.append("\n".join(texts))

    def _add_image(self, block: Fields) -> None:
        if not self.model.vision:
            raise Refused(
                Failure(FailureKind.UNSUPPORTED, f"{self.model.name} does not support image input")
            )
        source = block.object("source")
        self.image_count += 1
        match source.text("type"):
            case "url":
                self.images.append(Image("", 0, source.text("url")))
            case "base64":
                declared = source.text("media_type")
                if declared not in _IMAGE_TYPES:
                    raise bad(
                        source.at("media_type"),
                        "Input should be 'image/jpeg', 'image/png', 'image/gif' or 'image/webp'",
                    )
                try:
                    data = decode(source.text("data"))
                except BadImage as fault:
                    raise bad(source.at("data"), f"the image is {fault}") from None
                actual = sniff(data)
                if actual and actual != declared:
                    raise bad(
                        source.path,
                        f"The image was specified using the {declared} media type, but the image "
                        f"appears to be a {actual} image",
                    )
                self.images.append(Image(declared, len(data)))
            case kind:
                raise bad(source.at("type"), f"'{kind}': Input should be 'base64' or 'url'")

    def _check_answered(self) -> None:
        """All tool uses of the assistant's turn have their results."""
        missing = [one for one in self._uses if one not in self._answered]
        if missing:
            raise self._unanswered(missing)

    def _unanswered(self, missing: list[str]) -> Refused:
        return bad(
            ("messages",),
            "`tool_use` ids were found without `tool_result` blocks immediately after: "
            f"{', '.join(missing)}. Each `tool_use` block must have a corresponding "
            "`tool_result` block in the next message.",
        )


def tool_name(named: Fields) -> str:
    """The name of a tool, declared or used."""
    name = named.text("name")
    if not _TOOL_NAME.fullmatch(name):
        raise bad(named.at("name"), "String should match pattern '^[a-zA-Z0-9_-]{1,128}$'")
    return name
