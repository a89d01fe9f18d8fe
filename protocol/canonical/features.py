"""What a request can say, one thing at a time: the rows of every table of losses.

A feature is read from the canonical form, so that it is the same whatever dialect it came in.
Which API can't say it is for that API to declare (:mod:`forebay.protocol.dialects.losses`).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from enum import Enum
from typing import TypeAlias

from forebay.protocol.canonical.request_readers import (
    asks_to_think,
    documents_in,
    forced_tools_in,
    has_no_measure,
    images_in,
    inline_documents_in,
    is_uncommon,
    later_instructions_in,
    parts_in,
    raw_fields_in,
    results_in,
    tools_in,
    turns_after_the_prompt,
)
from forebay.protocol.canonical.requests import (
    Audio,
    ChatRequest,
    Completion,
    Effort,
    FileSource,
    Image,
    Opaque,
    OpaqueTool,
    OutputKind,
    Refusal,
    Role,
    Text,
    Thinking,
    UrlSource,
)

Reader: TypeAlias = Callable[[ChatRequest], object]

_PLAIN_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_COMMON_EFFORTS = (Effort.NONE, Effort.LOW, Effort.MEDIUM, Effort.HIGH)
_MOST_COMMON_STOPS = 4
_LEAST_COMMON_LIMIT = 16
_LONGEST_COMMON_USER_ID = 64


def _completing(read: Callable[[Completion], object]) -> Reader:
    def of_completion(request: ChatRequest) -> object:
        return None if request.completion is None else read(request.completion)

    return of_completion


class Feature(Enum):
    """One thing that a request may say. ``title`` is for people, in Markdown."""

    title: str
    read: Reader

    def __init__(self, title: str, read: Reader) -> None:
        self.title = title
        self.read = read

    def said(self, request: ChatRequest) -> bool:
        """Whether ``request`` says it."""
        value = self.read(request)
        return value is not None and value is not False and value not in ((), [], {}, "")

    # Sampling
    TEMPERATURE = "temperature", lambda r: r.sampling.temperature
    HIGH_TEMPERATURE = (
        "temperature above 1",
        lambda r: (r.sampling.temperature or 0) > 1 and r.sampling.temperature,
    )
    TEMPERATURE_WITH_THINKING = (
        "temperature, together with reasoning",
        lambda r: r.sampling.temperature if asks_to_think(r) else None,
    )
    TOP_P = "nucleus sampling (`top_p`)", lambda r: r.sampling.top_p
    TOP_P_WITH_TEMPERATURE = (
        "`top_p`, together with temperature",
        lambda r: None if r.sampling.temperature is None else r.sampling.top_p,
    )
    TOP_P_WITH_THINKING = (
        "`top_p` below 0.95, together with reasoning",
        lambda r: r.sampling.top_p if asks_to_think(r) and (r.sampling.top_p or 1) < 0.95 else None,
    )
    TOP_K = "`top_k`", lambda r: r.sampling.top_k
    TOP_K_WITH_THINKING = (
        "`top_k`, together with reasoning",
        lambda r: r.sampling.top_k if asks_to_think(r) else None,
    )
    MIN_P = "`min_p`", lambda r: r.sampling.min_p
    SEED = "seed", lambda r: r.sampling.seed
    FREQUENCY_PENALTY = "frequency penalty", lambda r: r.sampling.frequency_penalty
    PRESENCE_PENALTY = "presence penalty", lambda r: r.sampling.presence_penalty
    REPEAT_PENALTY = "repeat penalty", lambda r: r.sampling.repeat_penalty
    LOGIT_BIAS = "logit bias", lambda r: r.sampling.logit_bias
    LOGPROBS = "log probabilities", lambda r: r.sampling.logprobs
    TOP_LOGPROBS = "log probabilities of other tokens", lambda r: r.sampling.top_logprobs

    # The answer's form
    STOP = "stop sequences", lambda r: any(r.stop) and r.stop
    BLANK_STOP = (
        "a stop sequence of white space",
        lambda r: [stop for stop in r.stop if not stop.strip()],
    )
    MANY_STOPS = (
        "more than 4 stop sequences",
        lambda r: len(r.stop) > _MOST_COMMON_STOPS and r.stop,
    )
    CHOICES = "several answers (`n`)", lambda r: r.choices if r.choices > 1 else None
    NO_LIMIT = "no limit of the answer's length", lambda r: r.max_output_tokens is None
    SMALL_LIMIT = (
        "a limit below 16 tokens",
        lambda r: (r.max_output_tokens or 99) < _LEAST_COMMON_LIMIT and r.max_output_tokens,
    )
    NO_OUTPUT = "a limit of 0 tokens, for no answer at all", lambda r: r.max_output_tokens == 0
    JSON_OUTPUT = "any JSON", lambda r: r.output.kind is OutputKind.JSON
    JSON_SCHEMA = "JSON by a schema", lambda r: r.output.schema
    SCHEMA_STRICT = "`strict` of the answer's schema", lambda r: r.output.strict
    SCHEMA_NAME = "name and description of the answer's schema", lambda r: r.output.name

    # Reasoning
    REASONING = "how much to reason", lambda r: r.reasoning is not None
    UNCOMMON_EFFORT = (
        "an effort other than none, low, medium and high",
        lambda r: (
            r.reasoning
            and r.reasoning.effort not in (None, *_COMMON_EFFORTS)
            and r.reasoning.effort
        ),
    )
    EFFORT = "effort of reasoning", lambda r: r.reasoning and r.reasoning.effort
    BUDGET = "tokens to reason with", lambda r: r.reasoning and r.reasoning.budget_tokens
    OPEN_REASONING = "reasoning without a measure", has_no_measure
    ADAPTIVE_REASONING = (
        "reasoning as much as the model sees fit",
        lambda r: has_no_measure(r) and r.reasoning is not None and r.reasoning.adaptive,
    )

    # Tools
    TOOLS = "tools", lambda r: [tool.name for tool in tools_in(r)]
    FORCED_TOOLS = "a call that must come (`tool_choice`)", forced_tools_in
    FORCED_TOOLS_WITH_THINKING = (
        "a call that must come, together with reasoning",
        lambda r: forced_tools_in(r) if asks_to_think(r) else None,
    )
    ONE_CALL = "one call at a time", lambda r: r.parallel_tool_calls is False
    FREE_TOOL_NAMES = (
        "names of tools with other characters than letters, digits, `_` and `-`",
        lambda r: [tool.name for tool in tools_in(r) if not _PLAIN_NAME.fullmatch(tool.name)],
    )
    STRICT_TOOLS = "`strict` of tools", lambda r: [tool.name for tool in tools_in(r) if tool.strict]
    SERVER_TOOLS = (
        "tools that the provider runs itself",
        lambda r: [tool for tool in r.tools if isinstance(tool, OpaqueTool)],
    )
    TOOL_ERRORS = (
        "a tool's result marked as an error",
        lambda r: any(x.is_error for x in results_in(r)),
    )
    TOOL_IMAGES = (
        "images in a tool's result",
        lambda r: [part for x in results_in(r) for part in x.content if isinstance(part, Image)],
    )

    # Who asks
    METADATA = "metadata", lambda r: r.metadata
    SERVICE_TIER = "a service tier", lambda r: r.service_tier != "auto" and r.service_tier
    USER_ID = "whose request it is", lambda r: r.user_id
    LONG_USER_ID = (
        "a user's id of more than 64 characters",
        lambda r: len(r.user_id or "") > _LONGEST_COMMON_USER_ID and r.user_id,
    )

    PERSONAL_USER_ID = (
        "an e-mail address as a user's id",
        lambda r: "@" in (r.user_id or "") and r.user_id,
    )

    # Turns
    INSTRUCTIONS = (
        "a system prompt",
        lambda r: [t.text for t in r.turns if t.role in (Role.SYSTEM, Role.DEVELOPER)],
    )
    LATER_INSTRUCTIONS = "a system message in the midst", later_instructions_in
    DEVELOPER = "the role `developer`", lambda r: any(t.role is Role.DEVELOPER for t in r.turns)
    CONVERSATION = (
        "a conversation of several turns",
        lambda r: max(0, turns_after_the_prompt(r)) or None,
    )
    NAMES = "names of those who speak", lambda r: [t.name for t in r.turns if t.name]
    PAST_REASONING = (
        "reasoning of earlier answers",
        lambda r: [part.text for part in parts_in(r) if isinstance(part, Thinking) and part.text],
    )
    SIGNATURES = (
        "signed or redacted reasoning of earlier answers",
        lambda r: [
            part.signature or part.redacted
            for part in parts_in(r)
            if isinstance(part, Thinking) and (part.signature or part.redacted)
        ],
    )
    PAST_REFUSALS = (
        "refusals of earlier answers, as such",
        lambda r: [part.text for part in parts_in(r) if isinstance(part, Refusal)],
    )

    # Parts
    IMAGES = "images", lambda r: list(images_in(r)) and True
    IMAGE_LINKS = (
        "images as links",
        lambda r: [x.source for x in images_in(r) if isinstance(x.source, UrlSource)],
    )
    PLAIN_IMAGE_LINKS = (
        "images as links without TLS",
        lambda r: [
            x.source
            for x in images_in(r)
            if isinstance(x.source, UrlSource) and x.source.url.startswith("http:")
        ],
    )
    IMAGE_FILES = (
        "images as files of the provider",
        lambda r: [x.source for x in images_in(r) if isinstance(x.source, FileSource)],
    )
    IMAGE_DETAIL = (
        "how closely to look at an image",
        lambda r: [x.detail for x in images_in(r) if x.detail],
    )
    UNCOMMON_IMAGES = (
        "images other than JPEG, PNG, GIF and WebP",
        lambda r: sum(is_uncommon(image) for image in images_in(r)) or None,
    )
    AUDIO = "audio", lambda r: [x.base64 for x in parts_in(r) if isinstance(x, Audio)]
    DOCUMENTS = "documents (PDF)", lambda r: [x.source for x in inline_documents_in(r)]
    TEXT_DOCUMENTS = (
        "documents of plain text",
        lambda r: [x.source for x in documents_in(r) if isinstance(x.source, Text)],
    )
    DOCUMENT_LINKS = (
        "documents as links",
        lambda r: [x.source for x in documents_in(r) if isinstance(x.source, UrlSource)],
    )
    PLAIN_DOCUMENT_LINKS = (
        "documents as links without TLS",
        lambda r: [
            x.source
            for x in documents_in(r)
            if isinstance(x.source, UrlSource) and x.source.url.startswith("http:")
        ],
    )
    DOCUMENT_FILES = (
        "documents as files of the provider",
        lambda r: [x.source for x in documents_in(r) if isinstance(x.source, FileSource)],
    )
    CACHE_MARKS = (
        "marks for the prompt's cache (`cache_control`)",
        lambda r: raw_fields_in(r, "cache_control"),
    )
    CITATIONS = (
        "a wish for citations",
        lambda r: [
            fields["citations"]
            for document in documents_in(r)
            for fields in document.extras.values()
            if fields.get("citations")
        ],
    )
    OWN_PARTS = (
        "parts that only one API knows",
        lambda r: [part.raw for part in parts_in(r) if isinstance(part, Opaque)],
    )
    OWN_FIELDS = (
        "other fields of its own",
        lambda r: [name for fields in r.extras.values() for name in fields],
    )

    # What the server is to know already
    PREVIOUS_RESPONSE = (
        "an answer that the provider keeps",
        lambda r: r.state and r.state.previous_response_id,
    )
    CONVERSATION_ID = (
        "a conversation that the provider keeps",
        lambda r: r.state and r.state.conversation_id,
    )
    PROMPT_ID = "a prompt that the provider keeps", lambda r: r.state and r.state.prompt_id
    ITEM_IDS = "items that the provider keeps", lambda r: r.state and r.state.item_ids
    BACKGROUND = "an answer in the background", lambda r: r.state is not None and r.state.background

    # Text to be gone on with
    CHAT = "a chat", lambda r: r.completion is None
    PROMPT = "a text to be gone on with", lambda r: r.completion is not None
    SEVERAL_COMPLETIONS = (
        "several answers to a prompt",
        lambda r: r.completion is not None and r.choices > 1 and r.choices,
    )
    SUFFIX = "text to fill in before (`suffix`)", _completing(lambda c: c.suffix)
    RAW_PROMPT = "a prompt that holds the template's marks (`raw`)", _completing(lambda c: c.raw)
    SEVERAL_PROMPTS = "several prompts", _completing(lambda c: len(c.prompts) > 1 and c.prompts)
    TOKEN_PROMPT = (
        "a prompt of tokens",
        _completing(lambda c: [each for each in c.prompts if not isinstance(each, str)]),
    )
    ECHO = "the prompt before the answer (`echo`)", _completing(lambda c: c.echo)
    BEST_OF = (
        "the best of several answers (`best_of`)",
        lambda r: (
            r.completion is not None
            and (r.completion.best_of or 0) > r.choices
            and r.completion.best_of
        ),
    )
    PROMPT_LOGPROBS = (
        "log probabilities of a completion",
        _completing(lambda c: c.logprobs is not None),
    )
    TEMPLATE = "a template of the client's own", _completing(lambda c: c.template)
    CONTEXT = "the tokens of an earlier answer (`context`)", _completing(lambda c: c.context)
