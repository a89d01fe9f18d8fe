"""Embeddings as the official Node SDKs ask for them: by default in base64, which some upstreams
can't say."""

from __future__ import annotations

from collections.abc import Mapping

import httpx
import pytest
from live_gateway import UPSTREAMS, live_gateway
from node_clients import EMBEDDERS, Ask, Heard, ask_all
from sdk_questions import Question

TEXTS = ("hello", "Grüße, 世界 🌍", "hello again")
EMBEDDING_UPSTREAMS = ("o", "l")


@pytest.fixture(scope="module")
def vectors() -> list[list[float]]:
    """Of the texts, as the sandbox itself says them."""
    with (
        live_gateway() as live,
        httpx.Client(trust_env=False, timeout=20) as http,
    ):
        answer = http.post(
            f"{live.sandbox_url}/v1/embeddings",
            json={"model": "sandbox-chat", "input": TEXTS, "encoding_format": "float"},
        )
        return [one["embedding"] for one in answer.json()["data"]]


@pytest.fixture(scope="module")
def heard(node_sdks: None) -> Mapping[str, Heard]:
    with live_gateway() as live:
        return ask_all(
            [
                Ask(
                    id=f"{client} {upstream}",
                    client=client,
                    url=live.url,
                    question=Question(text="", model=f"{upstream}/sandbox-chat"),
                    inputs=TEXTS,
                )
                for client in EMBEDDERS
                for upstream in UPSTREAMS
            ]
        )


@pytest.mark.parametrize("upstream", EMBEDDING_UPSTREAMS)
@pytest.mark.parametrize("client", EMBEDDERS)
def test_trap_71_every_node_sdk_gets_the_vectors_of_the_upstream(
    heard: Mapping[str, Heard], vectors: list[list[float]], client: str, upstream: str
) -> None:
    answer = heard[f"{client} {upstream}"]
    assert answer.error is None
    (said,) = answer.said
    got = said["vectors"]
    assert isinstance(got, list)
    assert len(got) == len(TEXTS)
    for one, wanted in zip(got, vectors, strict=True):
        assert one == pytest.approx(wanted, rel=1e-6)
        assert len(wanted) > 8
    assert [head.status for head in answer.heads] == [200]


@pytest.mark.parametrize("client", EMBEDDERS)
def test_an_upstream_without_embeddings_is_an_error_at_once(
    heard: Mapping[str, Heard], client: str
) -> None:
    answer = heard[f"{client} a"]
    assert answer.said == ()
    assert answer.error is not None
    assert "embed" in answer.error.message
    (head,) = answer.heads
    assert head.status is not None
    assert 400 <= head.status < 500
