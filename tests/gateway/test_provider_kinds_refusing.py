"""How every kind of provider refuses, and what becomes of it, against imitations."""

from __future__ import annotations

import trio
from imitation import Imitated
from imitations.asking import (
    asking,
    each_client,
    each_kind,
    post,
    that,
    world_of,
)
from trio.testing import MockClock


@that(credential=True)
async def test_trap_11_a_wrong_key_takes_the_provider_out_and_is_not_the_clients(
    name: str, autojump_clock: MockClock
) -> None:
    async with world_of(name, api_key="another-key") as (world, _, kind):
        answer = await post(world, "/v1/chat/completions", asking("/v1/chat/completions"))
        assert answer.status_code == 503
        assert "another-key" not in answer.text
        (provider,) = (await world.gateway.status()).providers
        (target,) = provider.targets
        assert target.out is not None
        assert target.out.reason == "the provider rejects the key"
        is_open = kind.listing[0].partition("?")[0] in kind.open_paths
        assert provider.listing.startswith("failed: GET ") is not is_open
        assert "another-key" not in provider.listing


@that(rate_limited=True)
async def test_a_limit_is_waited_for(name: str, autojump_clock: MockClock) -> None:
    async with world_of(name) as (world, server, kind):
        assert kind.rate_limited is not None
        server.next = [kind.rate_limited.answer()]
        began = trio.current_time()
        answer = await post(world, "/v1/chat/completions", asking("/v1/chat/completions"))
        assert answer.status_code == 200, answer.text
        assert answer.headers["x-forebay-attempts"] == "2"
        assert trio.current_time() - began >= kind.waits
        (provider,) = (await world.gateway.status()).providers
        assert provider.out is None


@that(spent=True)
async def test_what_is_spent_is_taken_out(name: str, autojump_clock: MockClock) -> None:
    async with world_of(name) as (world, server, kind):
        assert kind.spent is not None
        server.next = [kind.spent.answer()]
        answer = await post(world, "/v1/chat/completions", asking("/v1/chat/completions"))
        assert answer.status_code in (429, 503)
        assert len(server.calls) == 1
        (provider,) = (await world.gateway.status()).providers
        (target,) = [each for each in provider.targets if each.name == f"up/{kind.model}"]
        assert target.out is not None
        assert "quota" in target.out.reason
        again = await post(world, "/v1/chat/completions", asking("/v1/chat/completions"))
        assert again.status_code == answer.status_code
        assert len(server.calls) == 1, "nobody asks in vain"


@each_kind
async def test_an_overload_is_ridden_out(name: str, autojump_clock: MockClock) -> None:
    async with world_of(name) as (world, server, kind):
        server.next = [kind.overloaded.answer()] * 2
        answer = await post(world, "/v1/chat/completions", asking("/v1/chat/completions"))
        assert answer.status_code == 200, answer.text
        assert answer.headers["x-forebay-attempts"] == "3"


@each_kind
async def test_whether_a_server_works_again_is_never_asked_by_what_costs(
    name: str, autojump_clock: MockClock
) -> None:
    async with world_of(name) as (world, server, kind):
        server.next = [Imitated(b"{}", status=500)] * 3
        for _ in range(2):
            await post(world, "/v1/chat/completions", asking("/v1/chat/completions"))
        asked = len(server.calls)
        posted = [each.path for each in server.requests if each.method == "POST"]
        await trio.sleep(3000)
        assert len(server.calls) == asked
        since = [each.path for each in server.requests if each.method == "POST"][len(posted) :]
        assert set(since) <= {kind.shown[0]}
        answer = await post(world, "/v1/chat/completions", asking("/v1/chat/completions"))
        assert answer.status_code == 200, answer.text


@each_kind
@each_client
async def test_trap_122_a_prompt_that_is_too_long_is_told_in_the_clients_words(
    name: str, path: str, autojump_clock: MockClock
) -> None:
    async with world_of(name) as (world, server, kind):
        server.next = [kind.overflow.answer()]
        answer = await post(world, path, asking(path))
        passes = answer.json() == kind.overflow.body
        assert answer.status_code == (kind.overflow.status if passes else 400)
        if path == "/v1/messages":
            message = answer.json()["error"]["message"]
            assert "prompt is too long" in message
            if kind.overflow_tokens is not None:
                tokens, most = kind.overflow_tokens
                assert f"{tokens} tokens > {most} maximum" in message
        if path == "/v1/chat/completions" and not passes:
            assert answer.json()["error"]["code"] == "context_length_exceeded"
        assert len(server.calls) == 1


@that(told=True)
async def test_the_limits_that_answers_tell_are_known(name: str, autojump_clock: MockClock) -> None:
    async with world_of(name) as (world, _, kind):
        answer = await post(world, "/v1/chat/completions", asking("/v1/chat/completions"))
        assert answer.status_code == 200
        (provider,) = (await world.gateway.status()).providers
        gates = {*provider.budgets, *(gate for each in provider.targets for gate in each.gates)}
        told = {gate.partition(": ")[2] for gate in gates if gate.endswith("(told)")}
        assert {limit.removesuffix(" (told)") for limit in told} == kind.told
