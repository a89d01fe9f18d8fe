"""A changed configuration is taken on while jobs wait and answers stream: nothing is lost."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio
from reloads import config, sandboxes
from trio.testing import MockClock, wait_all_tasks_blocked
from worlds import World, open_world

from forebay.actors.config import ConfigError
from forebay.actors.gateway import JobFailure, RequestSize
from forebay.actors.stores import SqliteLearnedStore

ONE_AT_A_TIME = {"limits": {"concurrency": 1}}


class Asked:
    """What became of requests, in the order in which they were answered."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.answers: list[tuple[str, int, str]] = []
        """Text, status and target."""
        self.times: list[float] = []

    async def __call__(self, text: str, model: str = "fast", key: str | None = None) -> None:
        answer = await self.world.ask(text, model=model, key=key)
        target = answer.headers.get("x-forebay-target", "")
        self.answers.append((text, answer.status_code, target))
        self.times.append(trio.current_time())


async def in_turn(nursery: trio.Nursery, ask: Asked, *texts: str, model: str = "fast") -> None:
    """Send one after the other, so that they come in this order."""
    for text in texts:
        nursery.start_soon(ask, text, model)
        await wait_all_tasks_blocked()


async def test_waiting_jobs_move_to_another_provider_in_their_order(
    autojump_clock: MockClock,
) -> None:
    before = config({"a": ONE_AT_A_TIME}, {"fast": ["a"]})
    after = config({"b": ONE_AT_A_TIME}, {"fast": ["b"]})
    texts = [f"job {number}" for number in range(12)]
    async with open_world(before, sandboxes=sandboxes("a", "b")) as world:
        ask = Asked(world)
        async with trio.open_nursery() as nursery:
            await in_turn(nursery, ask, *texts)
            assert world.gateway.waiting == 11
            await world.gateway.apply(after)
            await wait_all_tasks_blocked()
            assert (world.gateway.waiting, world.gateway.in_flight) == (10, 2)
            lane = next(iter(world.gateway.catalog.models["fast"].lanes))
            (flow,) = lane.flows.values()
            assert flow.waiting == 10
        # The call that was under way at the removed provider came to its end there.
        assert sorted(ask.answers[:2]) == [
            ("job 0", 200, "a/sandbox-chat"),
            ("job 1", 200, "b/sandbox-chat"),
        ]
        assert ask.answers[2:] == [(text, 200, "b/sandbox-chat") for text in texts[2:]]
        assert [box.statistics().received for box in world.sandboxes.values()] == [1, 11]
        assert await world.is_at_rest()


async def test_positions_and_deadlines_are_kept_in_a_move(autojump_clock: MockClock) -> None:
    before = config({"a": ONE_AT_A_TIME}, {"fast": ["a"]}, wait={"max_wait_ms": 5000})
    after = config({"b": {"limits": {"rpm": 1, "burst": 1}}}, {"fast": ["b"]})
    async with open_world(before, sandboxes=sandboxes("a", "b", latency_ms=60_000)) as world:
        ask = Asked(world)
        began = trio.current_time()
        async with trio.open_nursery() as nursery:
            await in_turn(nursery, ask, *"abcdef")
            await trio.sleep(3)
            await world.gateway.apply(after)
            await wait_all_tasks_blocked()
            status = await world.gateway.status()
            (flow,) = status.models[0].lanes[0].flows
            assert (flow.waiting, flow.first and flow.first.position) == (4, 1)
            assert flow.last is not None
            assert flow.last.position == 4
        refused = [
            at - began
            for at, answer in zip(ask.times, ask.answers, strict=True)
            if answer[1] == 429
        ]
        assert [round(each, 3) for each in refused] == [5.0] * 4
        assert await world.is_at_rest()


async def test_a_removed_model_ends_its_waiting_jobs_with_404_and_no_running_one(
    autojump_clock: MockClock,
) -> None:
    before = config({"a": ONE_AT_A_TIME}, {"fast": ["a"], "slow": ["a"]})
    after = config({"a": ONE_AT_A_TIME}, {"slow": ["a"]})
    async with open_world(before, sandboxes=sandboxes("a")) as world:
        ask = Asked(world)
        async with trio.open_nursery() as nursery:
            await in_turn(nursery, ask, "runs", "waits", "waits, too")
            await in_turn(nursery, ask, "of another model", model="slow")
            await world.gateway.apply(after)
        assert sorted(ask.answers) == [
            ("of another model", 200, "a/sandbox-chat"),
            ("runs", 200, "a/sandbox-chat"),
            ("waits", 404, ""),
            ("waits, too", 404, ""),
        ]
        assert await world.is_at_rest()


async def test_the_name_of_a_removed_model_may_stand_for_something_else(
    autojump_clock: MockClock,
) -> None:
    before = config({"a": ONE_AT_A_TIME}, {"a/sandbox-chat": ["a"], "fast": ["a"]})
    defaults = {"openai": "other", "unknown_model": "default"}
    after = config({"a": ONE_AT_A_TIME}, {"other": ["a"]}, defaults=defaults)
    async with open_world(before, sandboxes=sandboxes("a")) as world:
        ask = Asked(world)
        async with trio.open_nursery() as nursery:
            await in_turn(nursery, ask, "one", "two")
            await in_turn(nursery, ask, "outright", model="a/sandbox-chat")
            await world.gateway.apply(after)
        assert [(text, status) for text, status, _ in ask.answers] == [
            ("one", 200),
            ("two", 200),
            ("outright", 200),
        ]
        assert await world.is_at_rest()


async def test_a_stream_in_the_middle_goes_on_when_its_provider_is_removed(
    autojump_clock: MockClock,
) -> None:
    before = config({"a": {}}, {"fast": ["a"]})
    async with open_world(before, sandboxes=sandboxes("a", "b")) as world:
        request = {
            "model": "fast",
            "messages": [{"role": "user", "content": "hello"}],
            "stream": True,
        }
        url = "http://localhost/v1/chat/completions"
        received = b""
        async with world.client.stream("POST", url, json=request) as answer:
            pieces = answer.aiter_raw()
            received += await anext(pieces)
            await world.gateway.apply(config({"b": {}}, {"fast": ["b"]}))
            status = await world.gateway.status()
            assert [provider.name for provider in status.retiring] == ["a"]
            assert world.gateway.in_flight == 1
            async for piece in pieces:
                received += piece
        assert received.endswith(b"data: [DONE]\n\n")
        assert (await world.gateway.status()).retiring == ()
        assert "a" not in world.gateway.providers
        assert await world.is_at_rest()


async def test_a_call_that_fails_at_a_removed_provider_goes_on_at_the_new_one(
    autojump_clock: MockClock,
) -> None:
    before = config({"a": {}}, {"fast": ["a"]})
    async with open_world(before, sandboxes=sandboxes("a", "b")) as world:
        ask = Asked(world)
        async with trio.open_nursery() as nursery:
            await in_turn(nursery, ask, "[[fault: 503, slow-head=500, times=1]] hello")
            await world.gateway.apply(config({"b": {}}, {"fast": ["b"]}))
        ((_, status, target),) = ask.answers
        assert (status, target) == (200, "b/sandbox-chat")
        assert await world.is_at_rest()


async def test_cancelled_in_the_moment_of_the_change_nothing_is_left(
    autojump_clock: MockClock,
) -> None:
    before = config({"a": ONE_AT_A_TIME}, {"fast": ["a"]})
    after = config({"b": ONE_AT_A_TIME}, {"fast": ["b"]})
    async with open_world(before, sandboxes=sandboxes("a", "b")) as world:
        ask = Asked(world)
        async with trio.open_nursery() as nursery:
            await in_turn(nursery, ask, *map(str, range(20)))
            await world.gateway.apply(after)
            nursery.cancel_scope.cancel()
        assert await world.is_at_rest()
        assert world.sandboxes["b"].statistics().received <= 1


async def test_new_limits_keep_slots_and_what_was_taken_of_a_day(
    autojump_clock: MockClock,
) -> None:
    def limited(**limits: int) -> dict[str, object]:
        return config({"a": {"limits": limits}}, {"fast": ["a"]})

    async with open_world(limited(rpd=10, concurrency=2), sandboxes=sandboxes("a")) as world:
        ask = Asked(world)
        provider = world.gateway.providers["a"]
        async with trio.open_nursery() as nursery:
            await in_turn(nursery, ask, *map(str, range(6)))
            assert (world.gateway.in_flight, world.gateway.waiting) == (2, 4)
            await world.gateway.apply(limited(rpd=7, concurrency=3))
            await wait_all_tasks_blocked()
            assert (world.gateway.in_flight, world.gateway.waiting) == (3, 3)
            assert world.gateway.providers["a"] is provider
        (day,) = [gate for gate in provider.pool.gates if "per day" in gate.name]
        assert day.snapshot(trio.current_time())["available"] == 1
        await world.gateway.apply(
            config({"a": {"limits": {"rpd": 8, "day_shape": "smooth"}}}, {"fast": ["a"]})
        )
        (day,) = [gate for gate in provider.pool.gates if "per day" in gate.name]
        available = day.snapshot(trio.current_time())["available"]
        assert isinstance(available, float)
        assert 2 <= available < 2.1
        assert await world.is_at_rest()


async def test_fewer_slots_hold_for_the_calls_that_come(autojump_clock: MockClock) -> None:
    async with open_world(
        config({"a": {"limits": {"concurrency": 3}}}, {"fast": ["a"]}), sandboxes=sandboxes("a")
    ) as world:
        ask = Asked(world)
        async with trio.open_nursery() as nursery:
            await in_turn(nursery, ask, *map(str, range(6)))
            await world.gateway.apply(config({"a": ONE_AT_A_TIME}, {"fast": ["a"]}))
            began = trio.current_time()
            assert world.gateway.in_flight == 3
        ends = [round(at - began, 1) for at in ask.times]
        assert ends == [1.0, 1.0, 1.0, 2.0, 3.0, 4.0]
        assert await world.is_at_rest()


async def test_a_definition_that_has_not_changed_keeps_everything(
    autojump_clock: MockClock,
) -> None:
    before = config({"a": ONE_AT_A_TIME, "b": {}}, {"fast": ["a"], "other": ["b"]})
    after = config({"a": ONE_AT_A_TIME, "c": {}}, {"fast": ["a"], "other": ["c"]})
    async with open_world(before, sandboxes=sandboxes("a", "b", "c")) as world:
        ask = Asked(world)
        provider, model = world.gateway.providers["a"], world.gateway.catalog.models["fast"]
        async with trio.open_nursery() as nursery:
            await in_turn(nursery, ask, "one", "two")
            lanes = model.lanes
            await world.gateway.apply(after)
            assert world.gateway.catalog.models["fast"] is model
            assert model.lanes == lanes
            assert world.gateway.providers["a"] is provider
        assert [status for _, status, _ in ask.answers] == [200, 200]
        assert set(world.gateway.providers) == {"a", "c"}
        actors = {place.name for place in world.gateway.system.tree().children}
        assert {"provider:a", "provider:c", "model:fast"} <= actors
        assert "provider:b" not in actors
        assert await world.is_at_rest()


async def test_another_key_serves_again_at_once(autojump_clock: MockClock) -> None:
    def keyed(key: str) -> dict[str, object]:
        return config({"a": {"api_key": key}}, {"fast": ["a"]})

    async with open_world(keyed("old-secret-key"), sandboxes=sandboxes("a")) as world:
        provider = world.gateway.providers["a"]
        provider.take_out("the provider rejects the key")
        assert (await world.ask()).status_code == 503
        await world.gateway.apply(keyed("new-secret-key"))
        assert (await world.ask()).status_code == 200
        assert provider.headers["authorization"] == "Bearer new-secret-key"
        assert provider.without_secrets(b"old-secret-key new-secret-key") == b"[secret] [secret]"


async def test_a_bad_configuration_changes_nothing_and_is_told(
    autojump_clock: MockClock,
) -> None:
    async with open_world(config({"a": {}}, {"fast": ["a"]}), sandboxes=sandboxes("a")) as world:
        before = world.gateway.settings
        with pytest.raises(ConfigError):
            await world.gateway.apply(config({"a": {}}, {"fast": ["nobody"]}))
        assert world.gateway.settings is before
        told = world.gateway.last_reload
        assert told is not None
        assert len(told.problems) == 1
        assert "nobody" in told.problems[0]
        status = (await world.client.get("http://localhost/forebay/status")).json()
        assert status["last_reload"]["ok"] is False
        assert status["last_reload"]["problems"] == list(told.problems)
        await world.gateway.apply(config({"a": {}}, {"fast": ["a"], "more": ["a"]}))
        status = (await world.client.get("http://localhost/forebay/status")).json()
        assert status["last_reload"]["ok"] is True
        assert (await world.ask(model="more")).status_code == 200


async def test_what_needs_a_restart_is_kept_and_named(autojump_clock: MockClock) -> None:
    async with open_world(config({"a": {}}, {"fast": ["a"]}), sandboxes=sandboxes("a")) as world:
        port = world.gateway.settings.server.port
        after = config(
            {"a": {}},
            {"fast": ["a"]},
            server={"port": 9999, "max_body_bytes": 50},
            state={"path": "elsewhere.sqlite"},
        )
        done = await world.gateway.apply(after)
        assert done.kept == ("server.port", "state.path")
        assert world.gateway.settings.server.port == port
        assert (await world.ask("x" * 100)).status_code == 413


async def test_clients_come_and_go_while_running_answers_go_on(
    autojump_clock: MockClock,
) -> None:
    def known(**keys: str) -> dict[str, object]:
        clients = {name: {"key": key} for name, key in keys.items()}
        return config({"a": ONE_AT_A_TIME}, {"fast": ["a"]}, clients=clients)

    async with open_world(known(alice="key-a"), sandboxes=sandboxes("a")) as world:
        ask = Asked(world)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask, "runs", "fast", "key-a")
            await wait_all_tasks_blocked()
            nursery.start_soon(ask, "waits", "fast", "key-a")
            await wait_all_tasks_blocked()
            await world.gateway.apply(known(bob="key-b"))
            await ask("too late", key="key-a")
            await ask("new", key="key-b")
        assert ask.answers[0][:2] == ("too late", 401)
        assert sorted(answer[:2] for answer in ask.answers[1:]) == [
            ("new", 200),
            ("runs", 200),
            ("waits", 200),
        ]


async def test_permits_of_embedding_programs_move_too(autojump_clock: MockClock) -> None:
    before = config({"a": ONE_AT_A_TIME}, {"fast": ["a"], "gone": ["a"]})
    after = config({"b": ONE_AT_A_TIME}, {"fast": ["b"]})
    async with open_world(before, sandboxes=sandboxes("a", "b")) as world:
        gateway = world.gateway
        got: list[str] = []

        async def want(model: str) -> None:
            try:
                async with gateway.permit(model, size=RequestSize(text_bytes=10)) as permit:
                    got.append(permit.target.name)
            except JobFailure as failure:
                got.append(failure.error.kind.name)

        async with (
            trio.open_nursery() as nursery,
            gateway.permit("fast", size=RequestSize(text_bytes=10)),
        ):
            nursery.start_soon(want, "fast")
            nursery.start_soon(want, "gone")
            await wait_all_tasks_blocked()
            await gateway.apply(after)
        assert sorted(got) == ["MODEL_NOT_FOUND", "b/sandbox-chat"]
        assert await world.is_at_rest()


async def test_a_provider_that_comes_back_knows_what_it_has_spent(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    both = config({"a": {"limits": {"rpd": 10}}, "b": {}}, {"fast": ["a"]})
    store = SqliteLearnedStore(tmp_path / "learned.sqlite")
    async with open_world(both, sandboxes=sandboxes("a", "b"), learned_store=store) as world:
        first = world.gateway.providers["a"]
        for _ in range(3):
            assert (await world.ask()).status_code == 200
        await world.gateway.apply(config({"b": {}}, {"fast": ["b"]}))
        await world.gateway.apply(both)
        provider = world.gateway.providers["a"]
        assert provider is not first
        (day,) = [gate for gate in provider.pool.gates if "per day" in gate.name]
        assert day.snapshot(trio.current_time())["available"] == 7
        assert (await world.ask()).headers["x-forebay-target"] == "a/sandbox-chat"
        assert await world.is_at_rest()


async def test_hosts_that_stay_keep_their_slots_and_what_was_learned(
    autojump_clock: MockClock,
) -> None:
    def with_hosts(*hosts: str) -> dict[str, object]:
        provider = {"kind": "ollama", "hosts": [f"http://{host}.test" for host in hosts]}
        made = config({}, {"fast": ["up"]})
        return made | {"providers": {"up": {**provider, **ONE_AT_A_TIME}}}

    async with open_world(with_hosts("a", "b"), sandboxes=sandboxes("a", "b", "c")) as world:
        ask = Asked(world)
        provider = world.gateway.providers["up"]
        target = provider.target("sandbox-chat")
        learned = {route.host: route.gates[-1] for route in target.pooled.routes}
        async with trio.open_nursery() as nursery:
            await in_turn(nursery, ask, *"1234")
            assert world.gateway.in_flight == 2
            await world.gateway.apply(with_hosts("b", "c"))
            await wait_all_tasks_blocked()
            # One more at the new host; the one that stays is still at work.
            assert (world.gateway.in_flight, world.gateway.waiting) == (3, 1)
            assert world.gateway.providers["up"] is provider
        routes = {route.host: route for route in target.pooled.routes}
        assert list(routes) == ["http://b.test", "http://c.test"]
        assert routes["http://b.test"].gates[-1] is learned["http://b.test"]
        names = [gate.name for gate in routes["http://b.test"].gates]
        assert all("at host 1: " in name for name in names), names
        assert {answer[1] for answer in ask.answers} == {200}
        assert world.sandboxes["b"].statistics().max_in_flight == 1
        assert await world.is_at_rest()


async def test_another_server_by_the_same_name_begins_anew(autojump_clock: MockClock) -> None:
    before = config({"a": {"limits": {"rpd": 5}}}, {"fast": ["a"]})
    after = config({"a": {"limits": {"rpd": 5}, "base_url": "http://b.test/v1"}}, {"fast": ["a"]})
    async with open_world(before, sandboxes=sandboxes("a", "b")) as world:
        ask = Asked(world)
        async with trio.open_nursery() as nursery:
            await in_turn(nursery, ask, "at the first")
            await world.gateway.apply(after)
            await in_turn(nursery, ask, "at the other")
        assert [box.statistics().completed for box in world.sandboxes.values()] == [1, 1]
        (day,) = [
            gate for gate in world.gateway.providers["a"].pool.gates if "per day" in gate.name
        ]
        assert day.snapshot(trio.current_time())["available"] == 4
        for _ in range(5):
            await world.gateway.apply(before)
            await world.gateway.apply(after)
        assert (await world.ask()).status_code == 200
        assert await world.is_at_rest()


async def test_changes_at_the_same_time_are_taken_one_after_the_other(
    autojump_clock: MockClock,
) -> None:
    async with open_world(config({"a": {}}, {"fast": ["a"]}), sandboxes=sandboxes("a")) as world:
        async with trio.open_nursery() as nursery:
            for number in range(20):
                after = config({"a": {}, f"p{number}": {}}, {"fast": ["a"], f"m{number}": ["a"]})
                nursery.start_soon(world.gateway.apply, after)
        await wait_all_tasks_blocked()
        (model,) = set(world.gateway.catalog.models) - {"fast"}
        assert set(world.gateway.providers) == {"a", f"p{model[1:]}"}
        actors = [place.name for place in world.gateway.system.tree().children]
        assert len(actors) == 9, actors
        assert (await world.ask(model=model)).status_code == 200


async def test_a_change_that_is_given_up_changes_all_or_nothing(
    autojump_clock: MockClock,
) -> None:
    before, after = config({"a": {}}, {"fast": ["a"]}), config({"b": {}}, {"fast": ["b"]})
    async with open_world(before, sandboxes=sandboxes("a", "b")) as world:
        for steps in range(30):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(world.gateway.apply, after)
                for _ in range(steps):
                    await trio.lowlevel.checkpoint()
                nursery.cancel_scope.cancel()
            await wait_all_tasks_blocked()
            (name,) = world.gateway.providers
            actors = {place.name.split(" ")[0] for place in world.gateway.system.tree().children}
            assert {each for each in actors if "provider" in each} == {f"provider:{name}"}
            answer = await world.ask()
            assert answer.headers["x-forebay-target"] == f"{name}/sandbox-chat"
            await world.gateway.apply(before)
        assert await world.is_at_rest()
