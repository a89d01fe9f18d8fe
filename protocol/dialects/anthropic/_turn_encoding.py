"""The turns of a conversation, written as ``system`` and ``messages`` for an upstream.

The API is strict where other dialects are not: user and assistant alternate, a user begins, no
text is blank, and all calls of an assistant message are answered at the head of the very next
user message, once each. Conversations are made to fit without losing or reordering what was said;
the same conversation always gives the same blocks, since providers cache prompts by their prefix.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby

from forebay.protocol.canonical.errors import bad_request
from forebay.protocol.canonical.requests import Opaque, Role, Text, ToolCall, ToolResult, Turn
from forebay.protocol.dialects.anthropic._block_encoding import (
    block_of,
    missing_result_block,
    orphan_result_blocks,
    text_block,
    tool_result_block,
)
from forebay.protocol.dialects.anthropic._names import raw_fields
from forebay.protocol.dialects.tool_ids import with_tool_ids
from forebay.protocol.jsontext import JsonObject, JsonValue

_FILLER = "."
"""The user's text where the API wants a user message and the conversation has none."""

_THINKING = ("thinking", "redacted_thinking")


@dataclass(frozen=True, slots=True, kw_only=True)
class EncodedTurns:
    system: list[JsonValue]
    """Blocks; empty where nothing was said."""
    messages: list[JsonValue]
    tool_names: tuple[str, ...]
    """The tools that the conversation calls, each once, in the order of their first calls."""
    unthought_tool_loop: bool
    """The last message brings results for calls before which no thinking block is left."""


@dataclass(slots=True)
class _Message:
    role: Role
    blocks: list[JsonObject]
    raw: JsonObject

    def spoken(self) -> JsonObject:
        return {"role": str(self.role), "content": [*self.blocks], **self.raw}


def encode_turns(turns: tuple[Turn, ...]) -> EncodedTurns:
    """Write a conversation.

    - Leading system and developer turns become ``system``. Later ones stay at their place: as
      ``role: system`` messages where the client wrote them so in this dialect, after a user message
      as the API wants them; else as user text between ``<system>`` and ``</system>``.
    - Adjacent turns of one role become one message; what is empty is left out.
    - Results are put first, in the order of the calls; the last of several for one call counts;
      a missing one is made up as an error; one without its call in the message before becomes
      text.
    - White space at the end of a final assistant message is cut: the API refuses it.

    Raises:
        ApiFailure: BAD_REQUEST, there are no turns, or a part can't be said.
    """
    if not turns:
        raise bad_request("'messages' must hold at least one message", param="messages")
    turns = with_tool_ids(turns)
    lead = 0
    while lead < len(turns) and turns[lead].role in {Role.SYSTEM, Role.DEVELOPER}:
        lead += 1
    messages = _messages(turns[lead:])
    _trim_final_text(messages[-1])
    return EncodedTurns(
        system=_system_blocks(turns[:lead]),
        messages=[message.spoken() for message in messages],
        tool_names=tuple(
            dict.fromkeys(
                part.name for turn in turns for part in turn.parts if isinstance(part, ToolCall)
            )
        ),
        unthought_tool_loop=_is_unthought_tool_loop(messages),
    )


def _system_blocks(turns: Iterable[Turn]) -> list[JsonValue]:
    blocks: list[JsonValue] = []
    for part in (part for turn in turns for part in turn.parts):
        if not isinstance(part, Text | Opaque):
            raise bad_request("a system message can hold text only", param="messages")
        if (block := block_of(part)) is not None:
            blocks.append(block)
    return blocks


def _messages(turns: Sequence[Turn]) -> list[_Message]:
    said = [(turn, _assistant_blocks(turn)) for turn in turns]
    # An assistant turn that says nothing is left out first, so that its neighbours become one.
    said = [(turn, blocks) for turn, blocks in said if turn.role is not Role.ASSISTANT or blocks]
    messages: list[_Message] = []
    calls: list[str] = []
    for is_assistant, group in groupby(said, lambda entry: entry[0].role is Role.ASSISTANT):
        entries = list(group)
        members = [turn for turn, _ in entries]
        if is_assistant:
            if not messages:
                messages.append(_user_message([_filler()], ()))
            blocks = [block for _, blocks in entries for block in blocks]
            messages.append(_Message(Role.ASSISTANT, blocks, _raw_of(members)))
            calls = _call_ids(members)
        else:
            messages += _user_messages(members, calls)
            calls = []
    if calls or not messages:
        messages += _user_messages((), calls)
    return messages


def _assistant_blocks(turn: Turn) -> list[JsonObject]:
    if turn.role is not Role.ASSISTANT:
        return []
    blocks: list[JsonObject] = []
    for part in turn.parts:
        if isinstance(part, ToolResult):
            raise bad_request(
                "a tool result can't be part of an assistant message", param="messages"
            )
        if (block := block_of(part)) is not None:
            blocks.append(block)
    return blocks


def _call_ids(turns: Iterable[Turn]) -> list[str]:
    return [part.id for turn in turns for part in turn.parts if isinstance(part, ToolCall)]


def _user_messages(turns: Sequence[Turn], calls: Sequence[str]) -> list[_Message]:
    """What was said between two assistant messages, beginning with the answers to ``calls``."""
    open_calls = frozenset(calls)
    results: dict[str, ToolResult] = {}
    for part in (part for turn in turns for part in turn.parts):
        if isinstance(part, ToolResult) and part.call_id in open_calls:
            results[part.call_id] = part
    blocks: list[JsonObject] = [
        tool_result_block(results[call]) if call in results else missing_result_block(call)
        for call in calls
    ]
    messages: list[_Message] = []
    users: list[Turn] = []
    for turn in turns:
        if turn.role is Role.USER:
            users.append(turn)
            blocks += _user_blocks(turn, results)
            continue
        system = [block for part in turn.parts if (block := block_of(part)) is not None]
        if not system:
            continue
        if raw_fields(turn.extras).get("role") != "system" or not (blocks or messages):
            blocks += _wrapped(system)
            continue
        if blocks:
            messages.append(_user_message(blocks, users))
            blocks, users = [], []
        messages.append(_Message(Role.SYSTEM, system, _raw_of([turn])))
    if blocks:
        messages.append(_user_message(blocks, users))
    return messages or [_user_message([_filler()], users)]


def _user_blocks(turn: Turn, paired: dict[str, ToolResult]) -> list[JsonObject]:
    blocks: list[JsonObject] = []
    for part in turn.parts:
        if isinstance(part, ToolCall):
            raise bad_request("a tool call can't be part of a user message", param="messages")
        if isinstance(part, ToolResult):
            if part.call_id not in paired:
                blocks += orphan_result_blocks(part)
        elif (block := block_of(part)) is not None:
            blocks.append(block)
    return blocks


def _wrapped(system: list[JsonObject]) -> list[JsonObject]:
    """A system message as user text; what is no text follows after it."""
    texts = [block for block in system if block.get("type") == "text"]
    others = [block for block in system if block.get("type") != "text"]
    said = "\n\n".join(str(block["text"]) for block in texts)
    wrapped = text_block(f"<system>{said}</system>") if texts else None
    return [wrapped, *others] if wrapped is not None else others


def _user_message(blocks: list[JsonObject], turns: Iterable[Turn]) -> _Message:
    return _Message(Role.USER, blocks, _raw_of(turns))


def _filler() -> JsonObject:
    return {"type": "text", "text": _FILLER}


def _raw_of(turns: Iterable[Turn]) -> JsonObject:
    raw: JsonObject = {}
    for turn in turns:
        raw.update(raw_fields(turn.extras))
    raw.pop("role", None)
    return raw


def _trim_final_text(last: _Message) -> None:
    if last.role is not Role.ASSISTANT or last.blocks[-1].get("type") != "text":
        return
    block = last.blocks[-1]
    last.blocks[-1] = {**block, "text": str(block["text"]).rstrip()}


def _is_unthought_tool_loop(messages: Sequence[_Message]) -> bool:
    users = len(messages)
    while users and messages[users - 1].role is not Role.ASSISTANT:
        users -= 1
    if not users or users == len(messages):
        return False
    answered = messages[users].blocks[0].get("type") == "tool_result"
    return answered and messages[users - 1].blocks[0].get("type") not in _THINKING
