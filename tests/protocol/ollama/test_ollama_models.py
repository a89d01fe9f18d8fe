"""Lists and cards of models, fed to the models of the official package."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime

import ollama
import pytest

from forebay.protocol.canonical.errors import ApiFailure, ErrorKind
from forebay.protocol.canonical.listed_models import Capability, ListedModel
from forebay.protocol.dialects.base import ModelCard
from forebay.protocol.dialects.ollama import (
    OllamaSpeech,
    encode_running,
    encode_show,
    encode_version,
    matches,
)

SPEECH = OllamaSpeech()
CREATED = 1_795_343_400
BIG = ModelCard(
    id="house/big",
    created=CREATED,
    owned_by="house",
    context_length=200_000,
    capabilities=("completion", "tools", "vision"),
)
SMALL = ModelCard(id="small:8b", created=CREATED, owned_by="house")


def test_trap_74_tags_are_complete_for_the_official_package() -> None:
    encoded = SPEECH.encode_model_list([BIG, SMALL])
    parsed = ollama.ListResponse.model_validate(encoded)
    assert [model.model for model in parsed.models] == ["house/big:latest", "small:8b"]
    digests = [model.digest or "" for model in parsed.models]
    assert len({*digests}) == 2
    assert all(re.fullmatch("[0-9a-f]{64}", digest) for digest in digests)
    for model in parsed.models:
        assert model.modified_at == datetime.fromtimestamp(CREATED, UTC)
        assert model.size == 0
        assert model.details is not None
        assert model.details.family
        assert model.details.families
        assert None not in (
            model.details.parent_model,
            model.details.format,
            model.details.parameter_size,
            model.details.quantization_level,
        )


def test_a_listing_says_name_capabilities_and_context_as_well() -> None:
    encoded = json.loads(json.dumps(SPEECH.encode_model_list([BIG])))
    (model,) = encoded["models"]
    assert model["name"] == model["model"]
    assert model["capabilities"] == ["completion", "tools", "vision"]
    assert model["details"]["context_length"] == 200_000


def test_a_listing_does_not_make_up_how_much_context_there_is() -> None:
    encoded = json.loads(json.dumps(SPEECH.encode_model_list([SMALL])))
    (model,) = encoded["models"]
    assert "context_length" not in model["details"]


def test_a_digest_is_the_same_in_every_listing() -> None:
    assert SPEECH.encode_model_list([BIG]) == SPEECH.encode_model_list([BIG])


@pytest.mark.parametrize(("card", "context"), [(BIG, 200_000), (SMALL, 32_768)])
def test_trap_73_a_card_has_the_info_that_editors_read(card: ModelCard, context: int) -> None:
    parsed = ollama.ShowResponse.model_validate(encode_show(card))
    assert parsed.modelinfo is not None
    architecture = parsed.modelinfo["general.architecture"]
    assert parsed.modelinfo[f"{architecture}.context_length"] == context
    assert parsed.capabilities == [*card.capabilities]
    assert parsed.modified_at == datetime.fromtimestamp(CREATED, UTC)
    assert parsed.details is not None
    assert parsed.details.family == architecture


def test_what_is_served_is_loaded_for_ever() -> None:
    parsed = ollama.ProcessResponse.model_validate(encode_running([BIG, SMALL]))
    assert [model.name for model in parsed.models] == ["house/big:latest", "small:8b"]
    assert [model.context_length for model in parsed.models] == [200_000, 32_768]
    for model in parsed.models:
        assert model.expires_at is not None
        assert model.expires_at > datetime(2200, 1, 1, tzinfo=UTC)
        assert len(model.digest or "") == 64


def test_the_version_is_said() -> None:
    assert encode_version("0.13.0") == {"version": "0.13.0"}


@pytest.mark.parametrize(
    ("requested", "public", "same"),
    [
        ("m", "m", True),
        ("m:latest", "m", True),
        ("m", "m:latest", True),
        ("m:8b", "m:8b", True),
        ("m:8b", "m", False),
        ("m", "m:8b", False),
        ("n", "m", False),
        ("host:5000/a/m", "host:5000/a/m:latest", True),
        ("a/m:free", "a/m:free", True),
    ],
)
def test_a_missing_tag_means_latest(requested: str, public: str, same: bool) -> None:
    assert matches(requested, public) is same


def test_a_listing_of_a_server_is_read() -> None:
    body = json.dumps(
        {
            "models": [
                {"name": "a:latest", "model": "a:latest"},
                {"name": "b:8b"},
                {"model": "a:latest"},
                {"model": 5},
                "odd",
            ]
        }
    ).encode()
    assert SPEECH.decode_model_list(body) == (ListedModel("a:latest"), ListedModel("b:8b"))
    assert SPEECH.decode_model_list(b'{"models":null}') == ()
    written = json.dumps(SPEECH.encode_model_list([BIG, SMALL])).encode()
    writes = frozenset({Capability.CHAT, Capability.COMPLETION, Capability.TOOLS})
    assert SPEECH.decode_model_list(written) == (
        ListedModel("house/big:latest", 200_000, capabilities=writes | {Capability.VISION}),
        ListedModel("small:8b", capabilities=writes),
    )


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"models":5}', b"<html>", b'{"data":[]}'])
def test_what_is_no_listing_is_a_failure(body: bytes) -> None:
    with pytest.raises(ApiFailure) as failure:
        SPEECH.decode_model_list(body)
    assert failure.value.error.kind is ErrorKind.UPSTREAM_ERROR
