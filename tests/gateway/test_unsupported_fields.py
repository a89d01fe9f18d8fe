"""What a target's API can't say: left out and named, or a reason to pass the target over."""

from __future__ import annotations

from collections.abc import Mapping

import httpx
import pytest
from trio.testing import MockClock
from worlds import GATEWAY, World, open_world

from forebay.actors.config import ConfigError, OnUnsupported, parse_settings
from forebay.endpoints.sandbox import SandboxOptions
from forebay.protocol.jsontext import JsonObject

PDF: JsonObject = {
    "type": "file",
    "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBERi0xLjQKJSVFT0YK"},
}
KEYS = {"strict": "key-strict", "easy": "key-easy"}
REJECT = {"x-forebay-on-unsupported": "reject"}
DROP = {"x-forebay-on-unsupported": "drop"}


def config(*targets: str, **sections: object) -> dict[str, object]:
    """One model over providers of different APIs, in the order of ``targets``."""
    providers: dict[str, object] = {
        "open": {"kind": "openai_compatible", "base_url": "http://open.test/v1"},
        "claude": {"kind": "anthropic", "base_url": "http://claude.test", "api_key": "k"},
        "llama": {"kind": "ollama", "base_url": "http://llama.test"},
    }
    used = [target.partition("/")[0] for target in targets]
    return {
        "providers": {name: providers[name] for name in used},
        "models": {"fast": {"targets": list(targets)}},
        **sections,
    }


CLAUDE, LLAMA, OPEN = "claude/sandbox-chat", "llama/sandbox-chat", "open/sandbox-chat"


def boxes(*targets: str) -> Mapping[str, SandboxOptions]:
    return {target.partition("/")[0]: SandboxOptions() for target in targets}


def refusal_of(answer: httpx.Response) -> str:
    assert answer.status_code == 400, answer.text
    error = answer.json()["error"]
    return str(error["message"] if isinstance(error, dict) else error)


async def asked(
    *targets: str,
    headers: Mapping[str, str] | None = None,
    **fields: object,
) -> httpx.Response:
    """The answer to one OpenAI chat request, in a world of its own."""
    async with open_world(config(*targets), sandboxes=boxes(*targets)) as world:
        ask = {"role": "user", "content": "hello"}
        return await world.client.post(
            f"{GATEWAY}/v1/chat/completions",
            json={"model": "fast", "messages": [ask], **fields},
            headers=headers,
        )


async def test_by_default_what_only_tunes_is_left_out_and_named(autojump_clock: MockClock) -> None:
    answer = await asked(CLAUDE, seed=1, min_p=0.1)
    assert answer.status_code == 200
    assert answer.headers["x-forebay-dropped"] == "min_p, seed"


async def test_a_client_that_wants_all_or_nothing_is_told_what_is_lost_and_by_whom(
    autojump_clock: MockClock,
) -> None:
    answer = await asked(CLAUDE, headers=REJECT, seed=1, min_p=0.1)
    message = refusal_of(answer)
    assert "anthropic.messages can't say 'min_p', 'seed'" in message
    assert "x-forebay-on-unsupported: drop" in message
    assert answer.json()["error"]["param"] == "min_p"
    assert answer.headers["x-forebay-attempts"] == "0"


@pytest.mark.parametrize(
    ("path", "body", "api", "field"),
    [
        ("/v1/messages", {"max_tokens": 9, "top_k": 3}, "openai.chat", "container"),
        ("/api/chat", {"stream": False}, "openai.chat", "keep_alive"),
    ],
)
async def test_the_refusal_is_in_the_clients_dialect(
    path: str, body: JsonObject, api: str, field: str, autojump_clock: MockClock
) -> None:
    ask: JsonObject = {"role": "user", "content": "hi"}
    async with open_world(config(OPEN), sandboxes=boxes(OPEN)) as world:
        answer = await world.client.post(
            GATEWAY + path,
            json={"model": "fast", "messages": [ask], field: "5m", **body},
            headers=REJECT,
        )
    said = refusal_of(answer)
    assert f"{api} can't say '{field}'" in said
    assert ("type" in answer.json()) == (path == "/v1/messages")


async def test_a_target_that_would_lose_something_is_passed_over_for_one_that_loses_nothing(
    autojump_clock: MockClock,
) -> None:
    answer = await asked(CLAUDE, LLAMA, headers=REJECT, seed=1)
    assert answer.status_code == 200
    assert answer.headers["x-forebay-target"] == LLAMA
    assert "x-forebay-dropped" not in answer.headers


async def test_where_losses_are_fine_the_order_of_targets_stays(autojump_clock: MockClock) -> None:
    answer = await asked(CLAUDE, LLAMA, seed=1)
    assert answer.headers["x-forebay-target"] == CLAUDE
    assert answer.headers["x-forebay-dropped"] == "seed"


async def test_the_clients_own_api_loses_nothing_whatever_it_is_sent(
    autojump_clock: MockClock,
) -> None:
    answer = await asked(LLAMA, CLAUDE, OPEN, headers=REJECT, seed=1, logit_bias={"1": 1}, x_own=1)
    assert answer.status_code == 200
    assert answer.headers["x-forebay-target"] == OPEN


async def test_all_apis_that_would_lose_something_are_named(autojump_clock: MockClock) -> None:
    message = refusal_of(await asked(CLAUDE, LLAMA, headers=REJECT, logit_bias={"1": 1}, seed=2))
    assert "anthropic.messages can't say 'seed', 'logit_bias'" in message
    assert "ollama.chat can't say 'logit_bias'" in message


@pytest.mark.parametrize("headers", [{}, DROP, REJECT])
async def test_a_target_that_would_refuse_is_passed_over_in_any_case(
    headers: dict[str, str], autojump_clock: MockClock
) -> None:
    ask = {"role": "user", "content": [{"type": "text", "text": "what?"}, PDF]}
    answer = await asked(LLAMA, CLAUDE, headers=headers, messages=[ask])
    assert answer.status_code == 200
    assert answer.headers["x-forebay-target"] == CLAUDE


@pytest.mark.parametrize("headers", [{}, REJECT])
async def test_what_no_target_can_take_is_refused_at_once(
    headers: dict[str, str], autojump_clock: MockClock
) -> None:
    audio = {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}}
    ask = {"role": "user", "content": [audio]}
    answer = await asked(LLAMA, CLAUDE, headers=headers, messages=[ask])
    assert "audio" in refusal_of(answer)


async def test_the_request_comes_before_the_client_and_that_before_the_model(
    autojump_clock: MockClock,
) -> None:
    sections: dict[str, object] = {
        "models": {"fast": {"targets": [CLAUDE], "on_unsupported": "reject"}},
        "clients": {
            "strict": {"key": KEYS["strict"], "on_unsupported": "reject"},
            "easy": {"key": KEYS["easy"], "on_unsupported": "drop"},
            "other": {"key": "key-other"},
        },
    }

    async def status(world: World, key: str, headers: Mapping[str, str] | None = None) -> int:
        return (await world.ask(key=key, headers=headers, seed=1)).status_code

    async with open_world(config(CLAUDE, **sections), sandboxes=boxes(CLAUDE)) as world:
        assert await status(world, "key-other") == 400
        assert await status(world, "key-easy") == 200
        assert await status(world, "key-easy", REJECT) == 400
        assert await status(world, "key-strict") == 400
        assert await status(world, "key-strict", DROP) == 200


async def test_a_policy_that_there_is_not_is_refused_by_name(autojump_clock: MockClock) -> None:
    answer = await asked(OPEN, headers={"x-forebay-on-unsupported": "maybe"})
    assert refusal_of(answer) == (
        "header x-forebay-on-unsupported must be one of drop, reject, not 'maybe'"
    )


@pytest.mark.parametrize("headers", [DROP, REJECT])
@pytest.mark.parametrize(
    ("field", "value"),
    [("raw", True), ("template", "{{ .Prompt }}"), ("context", [1, 2]), ("suffix", "The end")],
)
@pytest.mark.parametrize("target", [CLAUDE, LLAMA])
async def test_what_changes_the_prompt_that_a_model_reads_is_never_just_left_out(
    target: str,
    field: str,
    value: object,
    headers: dict[str, str],
    autojump_clock: MockClock,
) -> None:
    """Another question would be answered, and nobody could tell."""
    async with open_world(config(target), sandboxes=boxes(target)) as world:
        answer = await world.client.post(
            f"{GATEWAY}/api/generate",
            json={"model": "fast", "prompt": "Once", "stream": False, field: value},
            headers=headers,
        )
        if target == LLAMA:
            assert answer.status_code == 200, "its own API"
        else:
            assert f"'{field}'" in refusal_of(answer)
            assert world.sandboxes["claude"].statistics().received == 0


@pytest.mark.parametrize(
    ("path", "target", "fields", "lost"),
    [
        ("/v1/embeddings", LLAMA, {"user": "u", "x_own": 1}, ["user", "x_own"]),
        (
            "/api/embed",
            OPEN,
            {"truncate": True, "keep_alive": "5m", "options": {"num_ctx": 9}},
            ["truncate", "keep_alive", "options"],
        ),
    ],
)
async def test_embeddings_follow_the_policy_too(
    path: str,
    target: str,
    fields: Mapping[str, object],
    lost: list[str],
    autojump_clock: MockClock,
) -> None:
    body = {"model": "fast", "input": "a", **fields}
    async with open_world(config(target), sandboxes=boxes(target)) as world:
        served = await world.client.post(GATEWAY + path, json=body)
        assert served.status_code == 200, served.text
        assert served.headers["x-forebay-dropped"] == ", ".join(lost)
        answer = await world.client.post(GATEWAY + path, json=body, headers=REJECT)
        named = ", ".join(f"'{name}'" for name in lost)
        assert f"can't say {named}" in refusal_of(answer)


@pytest.mark.parametrize(
    ("path", "fields", "target"),
    [
        ("/v1/embeddings", {"dimensions": 8, "encoding_format": "base64"}, LLAMA),
        ("/api/embed", {"dimensions": 8, "truncate": False}, OPEN),
    ],
)
async def test_embeddings_that_lose_nothing_are_served_where_nothing_may_be_lost(
    path: str, fields: Mapping[str, object], target: str, autojump_clock: MockClock
) -> None:
    body = {"model": "fast", "input": "a", **fields}
    async with open_world(config(target), sandboxes=boxes(target)) as world:
        answer = await world.client.post(GATEWAY + path, json=body, headers=REJECT)
    assert answer.status_code == 200, answer.text


async def test_completions_follow_the_policy_too(autojump_clock: MockClock) -> None:
    body = {"model": "fast", "prompt": ["a", "b"], "max_tokens": 5, "user": "u", "seed": 1}
    async with open_world(config(CLAUDE), sandboxes=boxes(CLAUDE)) as world:
        served = await world.client.post(f"{GATEWAY}/v1/completions", json=body)
        assert served.headers["x-forebay-dropped"] == "seed"
        answer = await world.client.post(f"{GATEWAY}/v1/completions", json=body, headers=REJECT)
    assert "anthropic.messages can't say 'seed'" in refusal_of(answer)


def test_the_default_is_to_drop_and_can_be_set_for_all() -> None:
    assert parse_settings({}).on_unsupported_for() is OnUnsupported.DROP
    strict = parse_settings({"defaults": {"on_unsupported": "reject"}})
    assert strict.on_unsupported_for(model="m", client="c") is OnUnsupported.REJECT
    assert strict.on_unsupported_for(requested=OnUnsupported.DROP) is OnUnsupported.DROP
    with pytest.raises(ConfigError, match="must be one of drop, reject"):
        parse_settings({"defaults": {"on_unsupported": "maybe"}})
