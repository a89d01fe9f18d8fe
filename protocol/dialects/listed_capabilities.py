"""What models can do, as servers list it.

- OpenRouter: ``supported_parameters`` and ``architecture`` with the modalities, both complete.
- Together, Vercel, LM Studio: a ``type``. LM Studio and Ollama: ``capabilities``, a list of words.
- Mistral: ``capabilities``, an object of flags, complete. Anthropic: the same, each an object with
  ``supported``.
- Hugging Face's router: flags of each provider behind the model.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache

from forebay.protocol.canonical.listed_models import Capability
from forebay.protocol.canonical.model_facts import ModelFacts
from forebay.protocol.dialects.listed_prices import live_providers
from forebay.protocol.jsontext import JsonObject, JsonValue

Told = tuple[Capability, bool]
"""A capability, and whether the model has it."""

_TEXT = frozenset({Capability.CHAT, Capability.COMPLETION})
_BY_WORD: Mapping[str, tuple[Capability, ...]] = {
    "completion": (Capability.CHAT, Capability.COMPLETION),  # Ollama's word for all that write
    "chat": (Capability.CHAT,),
    "tools": (Capability.TOOLS,),
    "tool_use": (Capability.TOOLS,),
    "vision": (Capability.VISION,),
    "multimodal": (Capability.VISION,),
    "audio": (Capability.AUDIO,),
    "thinking": (Capability.THINKING,),
    "embedding": (Capability.EMBEDDING,),
}
_BY_FLAG: Mapping[str, Capability] = {
    "completion_chat": Capability.CHAT,
    "function_calling": Capability.TOOLS,
    "vision": Capability.VISION,
    "audio": Capability.AUDIO,
    "image_input": Capability.VISION,
    "structured_outputs": Capability.JSON_SCHEMA,
    "thinking": Capability.THINKING,
}
_BY_PARAMETER: Mapping[str, Capability] = {
    "tools": Capability.TOOLS,
    "structured_outputs": Capability.JSON_SCHEMA,
    "reasoning": Capability.THINKING,
}
_BY_TYPE: Mapping[str, frozenset[Capability]] = {
    "chat": frozenset({Capability.CHAT}),
    "language": frozenset({Capability.COMPLETION}),
    "code": frozenset({Capability.COMPLETION}),
    "llm": _TEXT,
    "vlm": _TEXT | {Capability.VISION},
    "embedding": frozenset({Capability.EMBEDDING}),
    "embeddings": frozenset({Capability.EMBEDDING}),
}
_WRITES_NOTHING = frozenset({"embedding", "embeddings", "rerank", "moderation", "image", "audio"})
"""Types of models that neither chat nor go on with texts."""
_SAID_IF_KNOWN = (
    ("vision", Capability.VISION),
    ("audio", Capability.AUDIO),
    ("thinking", Capability.THINKING),
    ("embedding", Capability.EMBEDDING),
)
_BY_INPUT = {"image": Capability.VISION, "audio": Capability.AUDIO}


def capabilities_of(entry: JsonObject) -> tuple[frozenset[Capability], frozenset[Capability]]:
    """What an entry says that its model has, and what it lacks. What is told both ways counts as
    not told."""
    has: set[Capability] = set()
    lacks: set[Capability] = set()
    for capability, is_there in _told(entry):
        (has if is_there else lacks).add(capability)
    if Capability.EMBEDDING in has and not has & _TEXT:
        lacks |= _TEXT
    return frozenset(has - lacks), frozenset(lacks - has)


def capability_words(facts: ModelFacts) -> tuple[str, ...]:
    """What a model can do, in the words of Ollama's lists. Clients take what is not among them for
    missing, so a model of which nobody says otherwise is taken to chat and to call tools."""
    return _words(facts.capabilities, facts.lacks)


@lru_cache(maxsize=256)
def _words(able: frozenset[Capability], unable: frozenset[Capability]) -> tuple[str, ...]:
    facts = ModelFacts(capabilities=able, lacks=unable)
    writes = facts.can(Capability.CHAT) is not False or Capability.COMPLETION in facts.capabilities
    if facts.can(Capability.EMBEDDING) and not facts.capabilities & _TEXT:
        writes = False
    words = ["completion"] if writes else []
    if writes and facts.can(Capability.TOOLS) is not False:
        words.append("tools")
    words += [word for word, each in _SAID_IF_KNOWN if each in facts.capabilities]
    return tuple(words)


def _told(entry: JsonObject) -> Iterator[Told]:
    yield from _by_type(entry.get("type"))
    yield from _by_capabilities(entry.get("capabilities"))
    parameters = entry.get("supported_parameters")
    if isinstance(parameters, list) and parameters:
        yield from ((each, name in parameters) for name, each in _BY_PARAMETER.items())
        if "parallel_tool_calls" in parameters:
            yield Capability.PARALLEL_TOOLS, True
    architecture = entry.get("architecture")
    if isinstance(architecture, dict):
        yield from _by_modalities(architecture)
    else:
        yield from _by_modalities(entry)
    for provider in live_providers(entry):
        yield from _by_provider(provider)


def _by_type(kind: JsonValue) -> Iterator[Told]:
    if not isinstance(kind, str):
        return
    yield from ((each, True) for each in _BY_TYPE.get(kind, ()))
    if kind in _WRITES_NOTHING:
        yield from ((each, False) for each in _TEXT)


def _by_capabilities(told: JsonValue) -> Iterator[Told]:
    if isinstance(told, list):
        for word in told:
            if isinstance(word, str):
                yield from ((each, True) for each in _BY_WORD.get(word, ()))
    elif isinstance(told, dict):
        for name, capability in _BY_FLAG.items():
            flag = told.get(name)
            if isinstance(flag, dict):
                flag = flag.get("supported")
            if isinstance(flag, bool):
                yield capability, flag


def _by_modalities(holder: JsonObject) -> Iterator[Told]:
    taken, given = holder.get("input_modalities"), holder.get("output_modalities")
    if isinstance(taken, list) and taken:
        yield from ((each, name in taken) for name, each in _BY_INPUT.items())
    if isinstance(given, list) and given:
        yield Capability.CHAT, "text" in given
        if "embeddings" in given:
            yield Capability.EMBEDDING, True


def _by_provider(provider: JsonObject) -> Iterator[Told]:
    for name, capability in (
        ("supports_tools", Capability.TOOLS),
        ("supports_structured_output", Capability.JSON_SCHEMA),
    ):
        flag = provider.get(name)
        if isinstance(flag, bool):
            yield capability, flag
