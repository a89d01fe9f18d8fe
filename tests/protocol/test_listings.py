"""How many tokens a model takes, as servers list it."""

from __future__ import annotations

import pytest

from forebay.protocol.canonical.listed_models import ListedModel
from forebay.protocol.dialects.listings import context_length_of, listed_models
from forebay.protocol.jsontext import JsonObject


@pytest.mark.parametrize(
    ("entry", "length"),
    [
        ({"max_model_len": 2048}, 2048),
        ({"context_length": 131_072, "top_provider": {"context_length": 65_536}}, 131_072),
        ({"context_length": 8192.0}, 8192),
        ({"context_window": 131_072, "max_completion_tokens": 32_768}, 131_072),
        ({"max_context_length": 32_768}, 32_768),
        ({"loaded_context_length": 4096, "max_context_length": 32_768}, 4096),
        ({"max_input_tokens": 200_000, "max_tokens": 64_000}, 200_000),
        ({"meta": {"n_ctx": 4096, "n_ctx_train": 8192}}, 4096),
        ({"meta": {"n_ctx_train": 8192, "n_params": 134_515_008}}, 8192),
        ({"details": {"context_length": 40_960}}, 40_960),
        ({"metadata": {"context_length": 16_384}}, 16_384),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else str(value),
)
def test_the_context_is_found_where_each_server_writes_it(entry: JsonObject, length: int) -> None:
    assert context_length_of({"id": "m", **entry}) == length


def test_of_several_providers_the_least_context_of_those_that_serve_counts() -> None:
    entry: JsonObject = {
        "providers": [
            {"provider": "a", "status": "live", "context_length": 131_072},
            {"provider": "b", "status": "live", "context_length": 32_768},
            {"provider": "c", "status": "error", "context_length": 4096},
            {"provider": "d", "status": "live"},
            "odd",
        ]
    }
    assert context_length_of(entry) == 32_768


@pytest.mark.parametrize(
    "entry",
    [
        {},
        {"context_length": None, "meta": None, "providers": None, "details": []},
        {"context_length": 0, "max_model_len": -1},
        {"context_length": "8192"},
        {"context_length": True},
        {"context_length": 1e300},
        {"providers": [{"status": "live"}]},
    ],
)
def test_what_is_not_said_or_can_not_be_is_not_known(entry: JsonObject) -> None:
    assert context_length_of(entry) is None


def test_a_model_is_listed_once_and_an_entry_without_a_name_never() -> None:
    entries: list[JsonObject | str | None] = [
        {"id": "a", "context_length": 5},
        {"id": "a"},
        {"id": "", "name": "b"},
        "c",
        {"id": 5},
        None,
    ]
    assert listed_models([*entries], id_fields=("id", "name")) == (
        ListedModel("a", 5),
        ListedModel("b"),
        ListedModel("c"),
    )
