"""Going on with an answer that broke off: what is asked for the rest, and both told as one answer.

The rest is asked for with the same conversation and what was said so far as the model's own last
turn. That is only safe where all that was said is text: a call of a tool can't be taken up in its
middle, signed thinking is good at its maker only, and what is held to a form by a grammar would
begin the form anew.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from io import StringIO
from typing import Final

from forebay.protocol.canonical.errors import ApiFailure, bad_request
from forebay.protocol.canonical.events import (
    ArgumentsDelta,
    Aside,
    Finish,
    PartKind,
    PartStart,
    PartStop,
    SignatureDelta,
    Start,
    StreamError,
    StreamEvent,
    TextDelta,
    ThinkingDelta,
    Usage,
    UsageReport,
)
from forebay.protocol.canonical.requests import (
    ChatRequest,
    Completion,
    Effort,
    OutputKind,
    Reasoning,
    Role,
    Text,
    ToolChoiceMode,
    Turn,
)

_FORMS: Final = frozenset(
    {
        *("grammar", "json_schema", "regex", "ebnf", "structural_tag", "structured_outputs"),
        *("guided_json", "guided_regex", "guided_choice", "guided_grammar", "response_format"),
        *("modalities", "audio", "prediction", "web_search_options", "prompt_logprobs"),
        *("echo", "continue_final_message", "add_generation_prompt"),
    }
)
"""Raw fields of any dialect by which an answer is more than free text, or begins in another way."""
_MOST_TEXT: Final = 1024 * 1024
"""Characters of an answer that are remembered."""
_SHORTEST_REPEATED: Final = 16
"""Characters. What is shorter may be said twice and meant so."""
_BYTES_PER_TOKEN: Final = 4


def refuse_going_on(request: ChatRequest) -> None:
    """To be called before a request is written for a server that can't go on with a turn.

    Raises:
        ApiFailure: BAD_REQUEST, the request asks for the rest of one.
    """
    if request.continues:
        raise cannot_go_on()


def cannot_go_on() -> ApiFailure:
    return bad_request("this model's provider can't go on with an answer that has begun")


def can_be_continued(request: ChatRequest) -> bool:
    """Whether the rest of a broken answer to ``request`` may be asked for, as far as the request
    itself can tell."""
    choice = request.tool_choice
    state = request.state
    return (
        request.stream
        and request.choices == 1
        and (request.completion is None or _is_one_text(request.completion))
        and request.output.kind is OutputKind.TEXT
        and not request.sampling.logprobs
        and (choice is None or choice.mode in (ToolChoiceMode.AUTO, ToolChoiceMode.NONE))
        and (state is None or not (state.background or state.conversation_id or state.prompt_id))
        and bool(request.turns)
        and request.turns[-1].role is not Role.ASSISTANT
        and _FORMS.isdisjoint(name for fields in request.extras.values() for name in fields)
    )


def _is_one_text(completion: Completion) -> bool:
    """It is nothing but a text to go on with, so what was said of it makes a longer one."""
    return completion == Completion(prompts=completion.prompts[:1], raw=completion.raw) and (
        isinstance(completion.prompts[0], str)
    )


def continued(request: ChatRequest, answer: SplicedAnswer) -> ChatRequest | None:
    """The request for the rest of ``answer``; None: it can't be asked for.

    White space at the end of what was said is left out, since many servers refuse it there or cut
    it off. It does not think again: its thinking came before.
    """
    text = answer.text.rstrip()
    if not answer.can_go_on or not text:
        return None
    most = request.max_output_tokens
    return replace(
        request,
        turns=(*request.turns, Turn(role=Role.ASSISTANT, parts=(Text(text),))),
        max_output_tokens=None if most is None or most < 0 else max(1, most - answer.tokens),
        reasoning=request.reasoning if _thinks_not(request.reasoning) else None,
        continues=True,
    )


def _thinks_not(reasoning: Reasoning | None) -> bool:
    return reasoning is not None and (reasoning.enabled is False or reasoning.effort is Effort.NONE)


class SplicedAnswer:
    """The events of several calls as those of one answer.

    It begins once; its parts count on; text that the next call goes on with stays one part, of
    which nothing is said twice. Of usage the client is told its own prompt once, and all output.
    """

    def __init__(self) -> None:
        self._is_plain = True
        """All that was said so far may be followed by text from somebody else."""
        self._text = StringIO()
        self._size = 0
        self._next = 0
        """Index of the next part."""
        self._open: dict[int, PartKind] = {}
        """Parts that were started and not stopped, as the client knows them."""
        self._indexes: dict[int, int] = {}
        """From those of the call to those of the client."""
        self._seam: _Seam | None = None
        """Where the first text of the call goes on with what was said; None: it begins anew."""
        self._joined: int | None = None
        """The part in which it goes on."""
        self._said_before = 0
        """Tokens of text, by length, that the call was given as said."""
        self._tokens_before = 0
        """Of output that earlier calls made: as they reported it, or by length."""
        self._call_bytes = 0
        self._call_usage: Usage | None = None
        self._prompt: Usage | None = None
        """What the first call that told it has read."""
        self._began = False

    @property
    def can_go_on(self) -> bool:
        """Whether what was said, and what was begun, may be followed by text from somebody else."""
        return self._is_plain and all(kind is PartKind.TEXT for kind in self._open.values())

    @property
    def tokens(self) -> int:
        """Of output so far, of all calls: as they reported it, or by length."""
        reported = 0 if self._call_usage is None else self._call_usage.output
        return self._tokens_before + max(reported, _tokens(self._call_bytes))

    @property
    def text(self) -> str:
        """All text so far."""
        return self._text.getvalue()

    def add(self, event: StreamEvent) -> Iterable[StreamEvent]:
        """The next event of the call, as the client is told it. Errors are for the caller."""
        match event:
            case Start():
                return self._start(event)
            case PartStart():
                return self._start_part(event)
            case TextDelta():
                return self._add_text(event)
            case ThinkingDelta():
                self._call_bytes += len(event.text)
                return (replace(event, index=self._indexes[event.index]),)
            case SignatureDelta() | ArgumentsDelta():
                self._is_plain = False
                return (replace(event, index=self._indexes[event.index]),)
            case PartStop():
                return self._stop_part(event)
            case UsageReport():
                return (UsageReport(self._told(event.usage)),)
            case Finish():
                return (*self._close_seam(), *self._close_all(), event)
            case Aside():
                self._is_plain = self._is_plain and not event.is_content
                return (event,)
            case StreamError():
                return (event,)

    def break_off(self, *, repeats: bool = False) -> None:
        """The call broke; the events of the next one follow.

        Args:
            repeats: the next server says again what it was given as said.
        """
        self._tokens_before = self.tokens
        self._call_bytes = 0
        self._call_usage = None
        said = self.text
        self._said_before = _tokens(len(said.rstrip().encode("utf-8", "surrogatepass")))
        self._seam = _Seam(said, shortest_repeated=1 if repeats else _SHORTEST_REPEATED)
        self._indexes.clear()
        texts = [index for index, kind in self._open.items() if kind is PartKind.TEXT]
        self._joined = texts[-1] if texts else None

    def _start(self, event: Start) -> Iterable[StreamEvent]:
        self._note(event.usage)
        if self._began:
            return ()
        self._began = True
        return (event,)

    def _start_part(self, event: PartStart) -> Iterable[StreamEvent]:
        if event.kind is PartKind.TEXT:
            if self._joined is not None:
                self._indexes[event.index], self._joined = self._joined, None
                return ()
        elif event.kind is not PartKind.THINKING or event.redacted is not None or event.extras:
            self._is_plain = False
        closing: list[StreamEvent] = []
        if self._joined is not None:
            # The rest does not begin with text.
            closing = [*self._close_seam(), PartStop(self._joined)]
            del self._open[self._joined]
            self._joined = None
        index = self._indexes[event.index] = self._next
        self._next += 1
        self._open[index] = event.kind
        return (*closing, replace(event, index=index))

    def _add_text(self, event: TextDelta) -> Iterable[StreamEvent]:
        index = self._indexes[event.index]
        text = event.text
        if self._seam is not None:
            text = self._seam.add(text)
            if self._seam.is_passed:
                self._seam = None
        self._remember(index, text)
        # What is raw was said of all of the text.
        extras = event.extras if text == event.text else None
        return (TextDelta(index, text, extras),) if text or extras else ()

    def _stop_part(self, event: PartStop) -> Iterable[StreamEvent]:
        index = self._indexes[event.index]
        rest = self._close_seam() if self._open.get(index) is PartKind.TEXT else ()
        self._open.pop(index, None)
        return (*rest, replace(event, index=index))

    def _close_seam(self) -> Iterable[StreamEvent]:
        """What was held back in case that it is said twice, and was not."""
        seam, self._seam = self._seam, None
        text = "" if seam is None else seam.close()
        if not text:
            return ()
        # What was held back came in a text part, and that is the latest one.
        index = max(self._indexes.values())
        self._remember(index, text)
        return (TextDelta(index, text),)

    def _close_all(self) -> Iterable[StreamEvent]:
        stops = [PartStop(index) for index in self._open]
        self._open.clear()
        return stops

    def _remember(self, index: int, text: str) -> None:
        self._call_bytes += len(text.encode("utf-8", "surrogatepass"))
        if self._open.get(index) is PartKind.REFUSAL:
            return
        self._size += len(text)
        if self._size > _MOST_TEXT:
            self._is_plain = False
        if self._is_plain:
            self._text.write(text)

    def _note(self, usage: Usage | None) -> None:
        if usage is None:
            return
        self._call_usage = usage
        if self._prompt is None and usage.input_total and not self._said_before:
            self._prompt = usage

    def _told(self, usage: Usage) -> Usage:
        """What the client is told where the call reports ``usage``."""
        self._note(usage)
        if not self._said_before:
            return usage
        output = usage.output + self._tokens_before
        prompt = self._prompt
        if prompt is not None:
            return replace(
                usage,
                input_uncached=prompt.input_uncached,
                cache_read=prompt.cache_read,
                cache_write=prompt.cache_write,
                output=output,
            )
        uncached = max(0, usage.input_uncached - self._said_before)
        cached = max(0, usage.cache_read - max(0, self._said_before - usage.input_uncached))
        return replace(usage, input_uncached=uncached, cache_read=cached, output=output)


class _Seam:
    """Where text goes on with text that was said before: takes out what is said again.

    That is all of it, as some servers do, and the white space at its end, which the server was not
    given. Text is held back only as long as it says nothing new.
    """

    def __init__(self, said: str, *, shortest_repeated: int) -> None:
        body = said.rstrip()
        self.is_passed = False
        self._gap = said[len(body) :]
        self._body = body if len(body) >= shortest_repeated else ""
        self._repeated = 0
        """How much of the body was said again."""
        self._held = ""
        """Repeated of the gap."""

    def add(self, text: str) -> str:
        """More text; what of this and of what was held back is new."""
        if self._repeated < len(self._body):
            again = self._body[self._repeated : self._repeated + len(text)]
            if text.startswith(again):
                self._repeated += len(again)
                if self._repeated < len(self._body):
                    return ""
                text = text[len(again) :]
            else:
                text = self._body[: self._repeated] + text
            self._body = ""
        return self._add_after_gap(text)

    def close(self) -> str:
        """There is no more: what was held back is new after all, if it is more than a gap."""
        self.is_passed = True
        text = self._body[: self._repeated] if self._body else ""
        return text[_alike(self._gap, text) :]

    def _add_after_gap(self, text: str) -> str:
        text = self._held + text
        if len(text) < len(self._gap) and self._gap.startswith(text):
            self._held = text
            return ""
        self.is_passed = True
        return text[_alike(self._gap, text) :]


def _alike(one: str, other: str) -> int:
    """How many characters both begin with."""
    pairs = zip(one, other, strict=False)
    return next((at for at, (a, b) in enumerate(pairs) if a != b), min(len(one), len(other)))


def _tokens(size: int) -> int:
    return -(-size // _BYTES_PER_TOKEN)
