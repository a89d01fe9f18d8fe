"""The canonical form to a request for an upstream: every field but the items and the tools."""

from __future__ import annotations

import re

from forebay.protocol.canonical.completions import refuse_raw_completion
from forebay.protocol.canonical.continuations import refuse_going_on
from forebay.protocol.canonical.errors import bad_request
from forebay.protocol.canonical.requests import ChatRequest, Role, Text, Thinking, Turn
from forebay.protocol.canonical.state import refuse_missing_state
from forebay.protocol.dialects.base import EncodedRequest, UpstreamTraits
from forebay.protocol.dialects.openai._account import bounded_user_id
from forebay.protocol.dialects.openai._names import OPENAI
from forebay.protocol.dialects.openai.responses._content import Origin
from forebay.protocol.dialects.openai.responses._item_encoding import encode_items
from forebay.protocol.dialects.openai.responses._losses import LOSSES
from forebay.protocol.dialects.openai.responses._names import RESPONSES, raw_of
from forebay.protocol.dialects.openai.responses._output_format import encode_text
from forebay.protocol.dialects.openai.responses._reasoning import (
    encode_reasoning,
    encode_reasoning_item,
)
from forebay.protocol.dialects.openai.responses._request_decoding import (
    ENCRYPTED_REASONING,
    INSTRUCTIONS,
    LOGPROBS,
)
from forebay.protocol.dialects.openai.responses._tools import encode_tool_choice, encode_tools
from forebay.protocol.dialects.tool_names import with_fitted_names
from forebay.protocol.jsontext import JsonObject

_TOOL_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_LEAST_LIMIT = 16
"""OpenAI refuses a smaller ``max_output_tokens``."""
_STATE_FIELDS = frozenset({"previous_response_id", "background", "background_options", "store"})
_FORMED = frozenset({"tool_choice", "text", "top_logprobs"})
"""Raw fields that go into what is encoded."""


def encode_request(request: ChatRequest, traits: UpstreamTraits) -> EncodedRequest:
    """Raises:
    ApiFailure: BAD_REQUEST, something that can't be said here would change the meaning.
    """
    refuse_going_on(request)
    if RESPONSES not in request.extras:
        refuse_missing_state(request)
        refuse_raw_completion(request)
        # A client of this API has named its tools as its upstream takes them.
        request = with_fitted_names(request, _TOOL_NAME)
    return _RequestEncoder(request, traits).encoded()


def split_instructions(turns: tuple[Turn, ...], *, same_api: bool) -> tuple[str | None, int]:
    """What goes into ``instructions``, and how many of the turns say it.

    Of a request that came in this API its own instructions, else all that the system says before
    anyone else does.
    """
    texts: list[str] = []
    for turn in turns:
        if same_api and INSTRUCTIONS not in raw_of(turn.extras):
            break
        if turn.role not in (Role.SYSTEM, Role.DEVELOPER) or not all(
            isinstance(part, Text) for part in turn.parts
        ):
            break
        texts.append("\n\n".join(part.text for part in turn.parts if isinstance(part, Text)))
    return ("\n\n".join(texts) or None), len(texts)


class _RequestEncoder:
    def __init__(self, request: ChatRequest, traits: UpstreamTraits) -> None:
        self._request = request
        self._traits = traits
        self._same_api = RESPONSES in request.extras
        self._raw = raw_of(request.extras)
        self._kept_here = request.state is not None and request.state.kept_here
        self._body: JsonObject = {}
        self._dropped: list[str] = []

    def encoded(self) -> EncodedRequest:
        request = self._request
        self._refuse_what_cannot_be_said()
        self._body["model"] = request.model
        self._add_conversation()
        self._add_tools()
        self._add_sampling()
        text = self._raw.get("text")
        self._add("text", encode_text(request.output, text if isinstance(text, dict) else {}))
        self._add("reasoning", encode_reasoning(request.reasoning))
        self._add_account_fields()
        if request.stream:
            self._body["stream"] = True
        self._add_raw_fields()
        self._dropped += LOSSES.dropped(request, self._traits)
        self._dropped += request.lost_extras(RESPONSES)
        return EncodedRequest(body=self._body, dropped=tuple(dict.fromkeys(self._dropped)))

    def _add(self, name: str, value: JsonObject | None) -> None:
        if value is not None:
            self._body[name] = value

    def _refuse_what_cannot_be_said(self) -> None:
        request = self._request
        if request.choices > 1:
            raise bad_request("'n' must be 1: this model gives one answer per request", param="n")
        if any(request.stop):
            raise bad_request(
                "this model's provider takes no stop sequences: leave out 'stop'",
                param="stop",
                code="unsupported_parameter",
            )

    def _add_conversation(self) -> None:
        request = self._request
        instructions, count = split_instructions(request.turns, same_api=self._same_api)
        if instructions is not None:
            self._body["instructions"] = instructions
        origin = Origin(
            same_api=self._same_api, same_family=self._same_api or OPENAI in request.extras
        )
        items = encode_items(request.turns[count:], origin)
        if items or not self._same_api:
            self._body["input"] = items

    def _add_tools(self) -> None:
        request = self._request
        if request.tools:
            self._body["tools"] = encode_tools(request.tools, same_api=self._same_api)
        if "tool_choice" in self._raw:
            self._body["tool_choice"] = self._raw["tool_choice"]
        elif request.tool_choice is not None and request.tools:
            self._body["tool_choice"] = encode_tool_choice(request.tool_choice)
        if request.parallel_tool_calls is not None and (request.tools or self._same_api):
            self._body["parallel_tool_calls"] = request.parallel_tool_calls

    def _add_sampling(self) -> None:
        request = self._request
        sampling = request.sampling
        limit = request.max_output_tokens
        if limit is not None:
            self._body["max_output_tokens"] = limit if self._same_api else max(limit, _LEAST_LIMIT)
        for name, value in (("temperature", sampling.temperature), ("top_p", sampling.top_p)):
            if value is None:
                continue
            if self._same_api or self._traits.takes_sampling:
                self._body[name] = value
            elif value != 1:
                # Models that sample as they see fit refuse even their own default.
                self._dropped.append(name)
        if "top_logprobs" in self._raw:
            self._body["top_logprobs"] = self._raw["top_logprobs"]
        elif sampling.top_logprobs is not None:
            self._body["top_logprobs"] = sampling.top_logprobs
        if sampling.logprobs and not self._same_api:
            self._body["include"] = [LOGPROBS]
        if self._must_ask_for_secrets():
            include = self._raw.get("include")
            asked = include if isinstance(include, list) else []
            self._body["include"] = [*asked, ENCRYPTED_REASONING]

    def _must_ask_for_secrets(self) -> bool:
        """A provider that keeps nothing knows its own reasoning again only where that comes back
        encrypted. Only models that reason know the wish, so it is for conversations that show
        theirs does; the client does not get to see what it did not ask for."""
        include = self._raw.get("include")
        if not self._kept_here or (isinstance(include, list) and ENCRYPTED_REASONING in include):
            return False
        return any(
            isinstance(part, Thinking) and encode_reasoning_item(part) is not None
            for turn in self._request.turns
            for part in turn.parts
        )

    def _add_account_fields(self) -> None:
        request = self._request
        if not self._same_api or self._kept_here:
            # Nobody asked this provider to keep the answer, which is what it does unless told.
            self._body["store"] = False
        if request.metadata is not None and self._same_api:
            self._body["metadata"] = dict(request.metadata)
        if request.service_tier is not None and (
            self._same_api or OPENAI in request.extras or request.service_tier == "auto"
        ):
            self._body["service_tier"] = request.service_tier
        if request.user_id is not None and not self._same_api:
            self._body["safety_identifier"] = bounded_user_id(request.user_id)

    def _add_raw_fields(self) -> None:
        for name, value in self._raw.items():
            if name not in _FORMED and not (self._kept_here and name in _STATE_FIELDS):
                self._body.setdefault(name, value)
