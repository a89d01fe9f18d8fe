"""What goes wrong upstream, as every official Node SDK hears it: one error, and never a broken
answer for a whole one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pytest
from fault_questions import Wanted, gateway_for, more_providers, take_the_only_places
from live_gateway import UPSTREAMS
from node_clients import CLIENTS, Heard, ask_wanted
from sdk_questions import Question

BOTH_WAYS = {"whole": False, "streamed": True}
_STATUS_CLASSES = {
    400: "BadRequestError",
    429: "RateLimitError",
    502: "InternalServerError",
    503: "InternalServerError",
    529: "OverloadedError",
}


def error_class(client: str, status: int) -> str:
    """What the SDK throws."""
    match client:
        case "ollama":
            return "ResponseError"
        case "ai-ollama":
            return "_OllamaError"
        case _ if client.startswith("ai-"):
            return "APICallError"
        case _:
            return _STATUS_CLASSES[status]


@dataclass(frozen=True)
class Refused:
    """An error before the answer begins."""

    fault: str
    status: int
    told: str = ""
    """In the message."""
    suffix: str = ""
    """Of the providers' names."""


REFUSED = {
    "rejected": Refused("400", 400, "nvalid request"),
    "too long": Refused("context", 400, "context length"),
    "failing": Refused("500", 502),
    "garbage": Refused("garbage", 502),
    "hanging up": Refused("reset", 502, "broke off"),
    "credit spent": Refused("402", 503, "quota is spent", suffix="q"),
}

BROKEN_STREAMS = {
    "error": ("error-midstream=4", "verload"),
    "reset": ("reset-midstream=4", "broke"),
    "cut": ("cut-midstream=4", "closed the connection early"),
    "end": ("end-midstream=4", "ended before"),
    "end after all content": ("end-midstream=999", "ended before"),
    "garbage": ("garbage-midstream=4", ""),
}
"""The fault, and what the client is told of it."""

NO_RETRIES = "x-should-retry"


@pytest.fixture(scope="module")
def heard(node_sdks: None) -> Mapping[str, Heard]:
    """By the id of the question."""
    wanted = []
    for client in CLIENTS:
        for upstream in UPSTREAMS:
            pair = f"{client} {upstream}"
            for way, stream in BOTH_WAYS.items():
                wanted += [
                    Wanted(
                        id=f"{pair} {name} {way}",
                        client=client,
                        provider=f"{upstream}{case.suffix}",
                        question=Question(text=f"hello [[fault: {case.fault}]]"),
                        stream=stream,
                    )
                    for name, case in REFUSED.items()
                ]
                wanted.append(
                    Wanted(
                        id=f"{pair} limit {way}",
                        client=client,
                        provider=f"{upstream}f",
                        question=Question(text="hello", headers={"x-forebay-max-wait-ms": "0"}),
                        stream=stream,
                    )
                )
            wanted += [
                Wanted(
                    id=f"{pair} {name}",
                    client=client,
                    provider=upstream,
                    question=Question(text=f"hello [[fault: {fault}]]"),
                    stream=True,
                )
                for name, (fault, _) in BROKEN_STREAMS.items()
            ]
    providers = {
        **more_providers("f", {"limits": {"rpm": 0.5, "burst": 1}}),
        **more_providers("q", {}),
    }
    with gateway_for(wanted, providers=providers) as (live, questions):
        take_the_only_places(live, "f")
        return ask_wanted(wanted, live.url, questions)


def every(*names: str) -> list[object]:
    return [
        pytest.param(client, upstream, name, id=f"{client}-{upstream}-{name}")
        for client in CLIENTS
        for upstream in UPSTREAMS
        for name in names
    ]


@pytest.mark.parametrize("way", BOTH_WAYS)
@pytest.mark.parametrize(("client", "upstream", "name"), every(*REFUSED))
def test_an_error_before_the_answer_has_its_own_status(
    heard: Mapping[str, Heard], client: str, upstream: str, name: str, way: str
) -> None:
    """Trap 120: one request of the SDK, which would try some of them again."""
    case, answer = REFUSED[name], heard[f"{client} {upstream} {name} {way}"]
    dialect = CLIENTS[client].dialect
    status = 529 if (case.status, dialect) == (503, "anthropic") else case.status
    message = the_error(answer, client, status)
    words = (case.told, "prompt is too long") if name == "too long" else (case.told,)
    assert any(told in message for told in words)
    # No SDK tries a 400 again.
    assert answer.heads[0].headers.get(NO_RETRIES) == (None if status == 400 else "false")


def the_error(answer: Heard, client: str, status: int) -> str:
    """The message of the only error, which came with the status."""
    assert answer.said == ()
    assert [head.status for head in answer.heads] == [status]
    assert answer.error is not None
    assert answer.error.kind == error_class(client, status)
    # This provider does not tell it.
    assert answer.error.status == (None if client == "ai-ollama" else status)
    return answer.error.message


@pytest.mark.parametrize("way", BOTH_WAYS)
@pytest.mark.parametrize(("client", "upstream"), [(c, u) for c in CLIENTS for u in UPSTREAMS])
def test_who_will_not_wait_gets_one_429(
    heard: Mapping[str, Heard], client: str, upstream: str, way: str
) -> None:
    """Traps 118, 119 and 120: the next place is two minutes away, and an SDK that looks only at
    ``retry-after`` would come back within a second."""
    answer = heard[f"{client} {upstream} limit {way}"]
    assert "try again in" in the_error(answer, client, 429)
    (head,) = answer.heads
    assert 60 < int(head.headers["retry-after"]) <= 121
    assert head.headers[NO_RETRIES] == "false"


@pytest.mark.parametrize(("client", "upstream", "name"), every(*BROKEN_STREAMS))
def test_a_stream_that_breaks_is_an_error_in_every_node_sdk(
    heard: Mapping[str, Heard], client: str, upstream: str, name: str
) -> None:
    """Traps 86, 87, 88, 89, 90 and 91. What is broken is told in words, but where the upstream's
    own garbage is passed on, as it is to clients that raise on it."""
    answer = heard[f"{client} {upstream} {name}"]
    assert answer.said == ()
    assert [head.status for head in answer.heads] == [200]
    assert answer.error is not None
    _, told = BROKEN_STREAMS[name]
    assert told in answer.error.message
