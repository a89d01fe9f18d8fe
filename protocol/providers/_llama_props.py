"""What llama.cpp's server tells of itself (``GET /props``): the context of a slot, how many slots
there are, and what its model's template and projector can take."""

from __future__ import annotations

from typing import Final

from forebay.protocol.canonical.listed_models import Capability, ListedModel
from forebay.protocol.dialects.listings import count_of
from forebay.protocol.jsontext import JsonObject
from forebay.protocol.providers.base import Details

_TEMPLATE_FLAGS: Final = (
    ("supports_tools", Capability.TOOLS),
    ("supports_parallel_tool_calls", Capability.PARALLEL_TOOLS),
)
_MODALITIES: Final = (("vision", Capability.VISION), ("audio", Capability.AUDIO))


def read_props(props: JsonObject, listed: ListedModel) -> ListedModel | None:
    """Of the one model that the server has; None where it is a router over several."""
    settings = props.get("default_generation_settings")
    if not isinstance(settings, dict):
        return None
    has: set[Capability] = set()
    lacks: set[Capability] = set()
    for holder, flags in (("chat_template_caps", _TEMPLATE_FLAGS), ("modalities", _MODALITIES)):
        told = props.get(holder)
        if isinstance(told, dict):
            for name, capability in flags:
                flag = told.get(name)
                if isinstance(flag, bool):
                    (has if flag else lacks).add(capability)
    return ListedModel(
        listed.id,
        count_of(settings.get("n_ctx")),
        capabilities=frozenset(has),
        lacks=frozenset(lacks),
    )


def read_slots(props: JsonObject) -> int | None:
    """How many requests it works at; it makes others wait."""
    return count_of(props.get("total_slots"))


LLAMA_PROPS: Final = Details(
    path="/props",
    beside=True,
    read=read_props,
    read_slots=read_slots,
    of_owners=frozenset({"llamacpp"}),
)
