"""The canonical form to a request for an upstream: every field but the messages and the tools.

Whoever reads the limit as ``max_completion_tokens`` is taken to be OpenAI itself, which refuses
fields that it does not know; everyone else is a compatible server, and most of those ignore them.
"""

from __future__ import annotations

import re

from forebay.protocol.canonical.completions import refuse_raw_completion
from forebay.protocol.canonical.continuations import cannot_go_on
from forebay.protocol.canonical.requests import ChatRequest
from forebay.protocol.canonical.state import refuse_missing_state
from forebay.protocol.dialects.base import EncodedRequest, Prefill, UpstreamTraits
from forebay.protocol.dialects.openai._account import bounded_user_id
from forebay.protocol.dialects.openai._effort import encode_effort
from forebay.protocol.dialects.openai._generation_fields import (
    COMPATIBLE_ONLY,
    check_stops,
    encode_tuning,
    is_openai,
)
from forebay.protocol.dialects.openai._names import OPENAI
from forebay.protocol.dialects.openai.chat._losses import LOSSES
from forebay.protocol.dialects.openai.chat._message_encoding import MessageStyle, encode_messages
from forebay.protocol.dialects.openai.chat._output_format import encode_output
from forebay.protocol.dialects.openai.chat._reasoning import said_otherwise
from forebay.protocol.dialects.openai.chat._tools import encode_tool, encode_tool_choice
from forebay.protocol.dialects.tool_names import with_fitted_names
from forebay.protocol.jsontext import JsonObject, JsonValue

_TOOL_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")


def encode_request(request: ChatRequest, traits: UpstreamTraits) -> EncodedRequest:
    """Raises:
    ApiFailure: BAD_REQUEST, something that can't be said here would change the meaning.
    """
    refuse_missing_state(request)
    refuse_raw_completion(request)
    if OPENAI not in request.extras:
        # A client of this dialect has named its tools as its upstream takes them.
        request = with_fitted_names(request, _TOOL_NAME)
    return _RequestEncoder(request, traits).encoded()


class _RequestEncoder:
    def __init__(self, request: ChatRequest, traits: UpstreamTraits) -> None:
        self._request = request
        self._traits = traits
        self._raw = request.extras.get(OPENAI, {})
        self._same_dialect = OPENAI in request.extras
        self._to_openai = is_openai(traits)
        self._body: JsonObject = {}
        self._dropped: list[str] = []

    def encoded(self) -> EncodedRequest:
        request = self._request
        style = MessageStyle(
            same_dialect=self._same_dialect,
            developer_role=self._traits.developer_role,
            reasoning=not self._to_openai and self._traits.takes_past_reasoning,
            short_tool_ids=self._traits.short_tool_ids,
        )
        messages = encode_messages(request.turns, style)
        self._body = {"model": request.model, "messages": messages}
        if request.continues:
            self._go_on_with(messages[-1])
        self._add_tools()
        self._add_limits()
        self._add_sampling()
        self._add_output_and_reasoning()
        self._add_account_fields()
        self._add_stream()
        self._add_raw_fields()
        self._leave_out_unknown()
        return EncodedRequest(body=self._body, dropped=tuple(dict.fromkeys(self._dropped)))

    def _leave_out_unknown(self) -> None:
        known = self._traits.known_fields
        if known is not None:
            unknown = self._body.keys() - known
            self._dropped += sorted(unknown)
            self._body = {name: self._body[name] for name in self._body if name not in unknown}

    def _go_on_with(self, last: JsonValue) -> None:
        match self._traits.prefill:
            case Prefill.NONE:
                raise cannot_go_on()
            case Prefill.LAST_TURN:
                pass
            case Prefill.CONTINUE_FINAL_MESSAGE:
                self._body["continue_final_message"] = True
                self._body["add_generation_prompt"] = False
            case Prefill.PREFIX:
                assert isinstance(last, dict)
                last["prefix"] = True

    def _add_tools(self) -> None:
        request = self._request
        if not request.tools:
            # Without tools a choice among them says nothing, and some servers refuse it.
            return
        self._body["tools"] = [encode_tool(tool) for tool in request.tools]
        if "tool_choice" in self._raw:
            self._body["tool_choice"] = self._raw["tool_choice"]
        elif request.tool_choice is not None:
            self._body["tool_choice"] = encode_tool_choice(request.tool_choice)
        if request.parallel_tool_calls is not None:
            self._body["parallel_tool_calls"] = request.parallel_tool_calls

    def _add_limits(self) -> None:
        request = self._request
        if request.max_output_tokens is not None:
            limit = max(request.max_output_tokens, 1)
            self._body[self._traits.max_output_field] = limit
        check_stops(request.stop, to_openai=self._to_openai)
        if request.stop:
            self._body["stop"] = list(request.stop)
        if request.choices != 1:
            self._body["n"] = request.choices

    def _add_sampling(self) -> None:
        sampling = self._request.sampling
        fields, dropped = encode_tuning(
            sampling,
            raw=self._raw,
            to_openai=self._to_openai,
            takes_sampling=self._traits.takes_sampling,
        )
        if fields.get("temperature") == 0 and not self._traits.takes_zero_temperature:
            del fields["temperature"]
            fields["do_sample"] = False
        self._body.update(fields)
        self._dropped += dropped
        if sampling.logprobs is not None:
            self._body["logprobs"] = sampling.logprobs
        if sampling.top_logprobs is not None:
            self._body["top_logprobs"] = sampling.top_logprobs

    def _add_output_and_reasoning(self) -> None:
        request = self._request
        output = self._raw.get("response_format") or encode_output(request.output)
        if output is not None:
            self._body["response_format"] = output
        reasoning = request.reasoning
        if reasoning is None or (said_otherwise(reasoning) and not self._to_openai):
            return
        effort = encode_effort(
            reasoning, common_words_only=not (self._same_dialect or self._to_openai)
        )
        if effort is not None:
            self._body["reasoning_effort"] = effort.value

    def _add_account_fields(self) -> None:
        request = self._request
        if request.metadata is not None and self._same_dialect:
            # OpenAI takes it for stored answers only, which no other dialect asks for.
            self._body["metadata"] = dict(request.metadata)
        if request.service_tier is not None and (
            self._same_dialect or request.service_tier == "auto"
        ):
            self._body["service_tier"] = request.service_tier
        if request.user_id is not None and not self._same_dialect:
            if self._to_openai:
                self._body["safety_identifier"] = bounded_user_id(request.user_id)
            else:
                self._body["user"] = request.user_id

    def _add_stream(self) -> None:
        if not self._request.stream:
            return
        self._body["stream"] = True
        if self._traits.stream_usage:
            options = self._raw.get("stream_options")
            rest = options if isinstance(options, dict) else {}
            self._body["stream_options"] = {"include_usage": True, **rest}

    def _add_raw_fields(self) -> None:
        self._dropped += LOSSES.dropped(self._request, self._traits)
        for name, value in self._raw.items():
            if name in ("functions", "stream_options", "tool_choice", "response_format"):
                continue
            if self._to_openai and name in COMPATIBLE_ONLY:
                self._dropped.append(name)
            else:
                self._body.setdefault(name, value)
        self._dropped += self._request.lost_extras(OPENAI)
