"""Makes up the answer to a call, always the same for the same call.

In this order: a refusal (``please refuse``), tool calls (demanded, or ``use the tool`` / ``use all
tools`` in the user's text), JSON (a format was asked for), a quote of the tool results that the
last turn brings, one word (``be brief`` in the system prompt), else a plain answer that tells of
images and echoes the user's text.
"""

from __future__ import annotations

from dataclasses import replace

from forebay.endpoints.sandbox._call import (
    Answer,
    Call,
    CompactionCall,
    CompletionCall,
    CountCall,
    EmbeddingCall,
    Finish,
    Image,
    Tool,
    ToolUse,
)
from forebay.endpoints.sandbox._options import SandboxOptions
from forebay.endpoints.sandbox._schema_filler import fill
from forebay.endpoints.sandbox._words import TOKEN_BYTES, cut, seed_of, token_count, word, words
from forebay.protocol.jsontext import JsonObject, dumps_text

ECHO_BYTES = 4096
REFUSAL_TEXT = "I can't help with that."


def compose_all(call: Call, options: SandboxOptions) -> list[Answer]:
    """The answers to all choices of a call: none to one that asks for something else."""
    asked: list[Call] = [call]
    match call:
        case EmbeddingCall() | CountCall() | CompactionCall():
            return []
        case CompletionCall(prompts=prompts):
            asked = [replace(call, user_text=prompt) for prompt in prompts]
    return [compose(one, options, choice=choice) for one in asked for choice in range(call.choices)]


def compose(call: Call, options: SandboxOptions, *, choice: int = 0) -> Answer:
    """The answer to one choice of a call, cut at its stop sequences and its token limit."""
    seed = seed_of(options.seed, choice, call.user_text)
    budget = call.max_tokens
    thinking, room = "", budget
    if call.effort is not None:
        opening = f"The user wrote {len(call.user_text)} characters. "
        thinking = opening + words(seed, max(8, call.effort.value * TOKEN_BYTES - len(opening)))
        if budget is not None:
            thinking, was_cut = cut(thinking, budget)
            room = 0 if was_cut else budget - token_count(thinking)
    thinking_tokens = token_count(thinking)

    refuses = "please refuse" in call.user_text.lower()
    chosen = [] if refuses else _tools_to_call(call)
    if chosen:
        uses = [_use(tool, seed) for tool in chosen]
        fitting, spent = _fit(uses, room)
        whole = len(fitting) == len(uses) and all(use.arguments is not None for use in fitting)
        return Answer(
            text="",
            thinking=thinking,
            tool_uses=tuple(fitting),
            finish=Finish.TOOL_USE if whole else Finish.LENGTH,
            stop_sequence=None,
            thinking_tokens=thinking_tokens,
            output_tokens=thinking_tokens + spent,
        )

    text = REFUSAL_TEXT if refuses else _text(call, options, seed)
    if call.said_before and text.startswith(call.said_before):
        text = text.removeprefix(call.said_before)
    finish = Finish.REFUSAL if refuses else Finish.END
    text, stopped_by = _stopped(text, call.stop)
    if stopped_by is not None:
        finish = Finish.STOP_SEQUENCE
    if room is not None:
        text, was_cut = cut(text, room)
        if was_cut:
            finish, stopped_by = Finish.LENGTH, None
    return Answer(
        text=text,
        thinking=thinking,
        tool_uses=(),
        finish=finish,
        stop_sequence=stopped_by,
        thinking_tokens=thinking_tokens,
        output_tokens=thinking_tokens + token_count(text),
    )


def _tools_to_call(call: Call) -> list[Tool]:
    if not call.tools or not call.demand.allowed:
        return []
    said = call.user_text.lower()
    if call.demand.name is not None:
        return [tool for tool in call.tools if tool.name == call.demand.name][:1]
    asked = ("use the tool" in said or "use all tools" in said) and not call.tool_results
    if not (call.demand.forced or asked):
        return []
    if "use all tools" in said and call.demand.parallel:
        return list(call.tools)
    named = [tool for tool in call.tools if tool.name.lower() in said]
    return (named or list(call.tools))[:1]


def _use(tool: Tool, seed: int) -> ToolUse:
    value = fill(tool.schema, seed=seed_of(seed, tool.name))
    arguments: JsonObject = value if isinstance(value, dict) else {}
    return ToolUse(tool.name, dumps_text(arguments), arguments)


def _fit(uses: list[ToolUse], room: int | None) -> tuple[list[ToolUse], int]:
    """The calls that fit into so many tokens, the last one cut short if need be, and their cost."""
    fitting: list[ToolUse] = []
    spent = 0
    for use in uses:
        name_cost = token_count(use.name)
        if room is not None and spent + name_cost > room:
            break
        spent += name_cost
        text, was_cut = use.arguments_text, False
        if room is not None:
            text, was_cut = cut(text, room - spent)
        spent += token_count(text)
        fitting.append(ToolUse(use.name, text, None) if was_cut else use)
        if was_cut:
            break
    return fitting, spent


def _text(call: Call, options: SandboxOptions, seed: int) -> str:
    if call.json_schema is not None:
        return dumps_text(fill(call.json_schema, seed=seed))
    if call.json_only:
        return dumps_text({"you_said": call.user_text})
    if call.tool_results:
        return "".join(f"The tool said: {result}\n" for result in call.tool_results).rstrip("\n")
    if "be brief" in call.system_text.lower():
        return f"{word(seed).capitalize()}."
    text = f"{_about(call.images)} " if call.images else ""
    if options.echo:
        echo, _ = cut(call.user_text, ECHO_BYTES // TOKEN_BYTES)
        text += f"You said: {echo}\n"
    missing = options.reply_tokens * TOKEN_BYTES - len(text.encode())
    return text + words(seed, missing) if missing > 0 else text.removesuffix("\n")


def _about(images: tuple[Image, ...]) -> str:
    told = ", ".join(
        f"{image.media_type} ({image.size_bytes} bytes)" if image.media_type else image.address
        for image in images
    )
    return f"You sent {len(images)} image{'' if len(images) == 1 else 's'}: {told}."


def _stopped(text: str, stop: tuple[str, ...]) -> tuple[str, str | None]:
    """The text up to the first stop sequence in it, and which one that was."""
    found = [(at, sequence) for sequence in stop if sequence and (at := text.find(sequence)) >= 0]
    if not found:
        return text, None
    at, sequence = min(found)
    return text[:at], sequence
