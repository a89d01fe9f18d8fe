"""Parts of an answer as the items that a client sees; whole answers and streams share it."""

from __future__ import annotations

from collections.abc import Sequence

from forebay.protocol.canonical.requests import Refusal, Text, Thinking
from forebay.protocol.dialects.base import ReplyContext
from forebay.protocol.dialects.openai.responses._call_forms import CallForm, CallForms
from forebay.protocol.dialects.openai.responses._names import ITEM, own_item_id, raw_of
from forebay.protocol.dialects.openai.responses._reasoning_token import encode_token, is_own_token
from forebay.protocol.dialects.openai.responses._request_decoding import ENCRYPTED_REASONING
from forebay.protocol.dialects.tool_ids import issued_id
from forebay.protocol.jsontext import JsonObject, JsonValue

SECRET = "encrypted_content"


class ItemForm:
    """Makes the items of one answer: ids that differ, calls in the form that was declared."""

    def __init__(self, context: ReplyContext) -> None:
        self._context = context
        self._forms = CallForms(context.request.tools)
        self._ids: set[str] = set()
        self._call_ids: set[str] = set()
        self._calls = 0
        include = raw_of(context.request.extras).get("include")
        self.shows_secrets = isinstance(include, list) and ENCRYPTED_REASONING in include
        """The client asked for ``encrypted_content``."""

    def item_id(self, prefix: str, given: JsonValue = None) -> str:
        """The upstream's id of an item where it has the right shape, else one of our own."""
        if isinstance(given, str) and given.startswith(f"{prefix}_") and given not in self._ids:
            self._ids.add(given)
            return given
        made = own_item_id(prefix, self._context.response_id, len(self._ids))
        self._ids.add(made)
        return made

    def call_id(self, given: str) -> str:
        """Never empty, and never twice: clients pair results by it."""
        if given in self._call_ids:
            given = ""
        call_id = issued_id(given, response_id=self._context.response_id, position=self._calls)
        self._calls += 1
        self._call_ids.add(call_id)
        return call_id

    def call(self, name: str) -> CallForm:
        return self._forms.of(name)

    def shown(self, item: JsonObject) -> JsonObject | None:
        """An item as the client may see it: reasoning without the secret that it did not ask for;
        None where nothing of it is left."""
        return item if self.shows_secrets else without_secret(item)


def without_secret(item: JsonObject) -> JsonObject | None:
    """What may be seen of an item by those who did not ask for ``encrypted_content``; None where
    nothing of it is left."""
    secret = item.get(SECRET)
    if not isinstance(secret, str) or item["type"] != "reasoning":
        return item
    if is_own_token(secret) and not item.get("summary"):
        return None
    return {name: value for name, value in item.items() if name != SECRET}


def message_item(
    item_id: str, parts: Sequence[Text | Refusal], status: str, raw: JsonObject | None = None
) -> JsonObject:
    content: list[JsonValue] = [content_part(part) for part in parts]
    return {
        **(raw or {}),
        "id": item_id,
        "type": "message",
        "role": "assistant",
        "status": status,
        "content": content,
    }


def content_part(part: Text | Refusal) -> JsonObject:
    rest = {name: value for name, value in raw_of(part.extras).items() if name != ITEM}
    if isinstance(part, Refusal):
        return {"type": "refusal", "refusal": part.text, **rest}
    said: JsonObject = {"type": "output_text", "text": part.text, "annotations": [], "logprobs": []}
    return {**said, **rest}


def reasoning_item(item_id: str, thinking: Thinking, status: str) -> JsonObject:
    """The item with its secret: the provider's own where the thinking came from this API, else
    the token that brings it back."""
    given = raw_of(thinking.extras).get(ITEM)
    if isinstance(given, dict):
        return {"summary": [], **given, "id": item_id, "type": "reasoning", "status": status}
    summary: list[JsonValue] = (
        [{"type": "summary_text", "text": thinking.text}] if thinking.text else []
    )
    return {
        "id": item_id,
        "type": "reasoning",
        "status": status,
        "summary": summary,
        SECRET: encode_token(thinking),
    }
