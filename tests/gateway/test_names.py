"""What names lead to: aliases, stars, regular expressions; and who may use which."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from reloads import config, sandboxes
from trio.testing import MockClock
from worlds import GATEWAY, World, open_world

from forebay.actors.config import ConfigError, parse_settings
from forebay.actors.config.loading import settings_from_yaml
from forebay.actors.routing.names import Meaning, Names

PROVIDERS: dict[str, dict[str, object]] = {"openai": {}, "azure": {}}
KEYS = {"authorization": "Bearer key"}


def names(**sections: object) -> Names:
    provider = {"kind": "sandbox", "base_url": "http://up.test"}
    return Names(parse_settings({"providers": {"openai": provider, "azure": provider}, **sections}))


def model(*targets: str) -> dict[str, object]:
    return {"targets": list(targets or ["openai/m"])}


def test_what_is_written_out_comes_before_stars_and_stars_before_expressions() -> None:
    known = names(
        models={
            "gpt-5": model(),
            "gpt-*": model("openai/gpt-*"),
            "gpt-5-*": model("openai/x"),
            "*-mini": model("openai/*"),
        },
        aliases={
            "gpt-6": "gpt-5",
            "gpt-5-m*": "gpt-5",
            "~gpt-.*": "openai/never",
            "~claude-(.*)": r"gpt-\1",
            "~(?i)claude-.*": "openai/later",
        },
    )
    assert known.meaning("gpt-5") == Meaning("gpt-5", "gpt-5")
    assert known.meaning("gpt-5:latest") == Meaning("gpt-5", "gpt-5")
    assert known.meaning("gpt-6") == Meaning("gpt-5", "gpt-5")
    assert known.meaning("gpt-5-x") == Meaning("gpt-5-x", "gpt-5-*", "x")
    assert known.meaning("gpt-5-mini") == Meaning("gpt-5", "gpt-5")  # the alias says more
    assert known.meaning("gpt-4-mini") == Meaning("gpt-4-mini", "*-mini", "gpt-4")
    assert known.meaning("gpt-4") == Meaning("gpt-4", "gpt-*", "4")
    assert known.meaning("gpt-") == Meaning("openai/never")
    assert known.meaning("claude-5-x") == Meaning("gpt-5-x", "gpt-5-*", "x")
    assert known.meaning("CLAUDE-3") == Meaning("openai/later")
    assert known.meaning("other") == Meaning("other")


def test_an_outright_target_gives_way_only_to_stars_that_say_more() -> None:
    known = names(
        models={"*": model("azure/*"), "openai/gpt-*": model("azure/gpt-*")},
        aliases={"~other/.*": "openai/x"},
    )
    assert known.meaning("openai/o3") == Meaning("openai/o3")
    assert known.meaning("openai/gpt-5") == Meaning("openai/gpt-5", "openai/gpt-*", "5")
    assert known.meaning("gpt-5") == Meaning("gpt-5", "*", "gpt-5")
    assert known.meaning("maker/gpt-5") == Meaning("maker/gpt-5", "*", "maker/gpt-5")


async def served(world: World, name: str, key: str | None = None) -> str:
    answer = await world.ask(model=name, key=key)
    if answer.status_code == 200:
        return f"{answer.headers['x-forebay-target']} as {answer.json()['model']}"
    return str(answer.status_code)


async def test_what_the_star_stands_for_reaches_the_provider(autojump_clock: MockClock) -> None:
    settings = config(
        PROVIDERS,
        {
            "box-*": {"targets": ["azure/sandbox-*", "openai/sandbox-*"], "max_wait_ms": 0},
            "fixed-*": {"targets": ["openai/sandbox-chat"]},
        },
        aliases={
            "fast": "box-chat",
            "short-*": "box-*",
            r"~my-(\w+)": r"openai/sandbox-\1",
        },
    )
    async with open_world(settings, sandboxes=sandboxes("openai", "azure")) as world:
        assert await served(world, "box-chat") == "azure/sandbox-chat as sandbox-chat"
        assert await served(world, "fixed-anything") == "openai/sandbox-chat as sandbox-chat"
        assert await served(world, "fast") == "azure/sandbox-chat as sandbox-chat"
        assert await served(world, "short-chat") == "azure/sandbox-chat as sandbox-chat"
        assert await served(world, "my-small") == "openai/sandbox-small as sandbox-small"
        assert await served(world, "my-" + "x" * 400) == "404"
        assert await served(world, "nothing") == "404"
        world.gateway.providers["azure"].take_out("no credit")
        world.gateway.providers["openai"].take_out("no credit")
        out = await world.ask(model="box-chat")
        assert out.status_code == 503
        assert "'box-chat'" in out.json()["error"]["message"]


async def test_weights_hold_for_whatever_a_star_stands_for(autojump_clock: MockClock) -> None:
    settings = config(
        PROVIDERS,
        {
            "box-*": {
                "targets": ["azure/sandbox-*", "openai/sandbox-*"],
                "strategy": "weighted",
                "weights": [3, 1],
            }
        },
    )
    async with open_world(settings, sandboxes=sandboxes("openai", "azure")) as world:
        for star in ("chat", "small"):
            targets = [
                (await world.ask(model=f"box-{star}")).headers["x-forebay-target"] for _ in range(8)
            ]
            assert targets.count(f"azure/sandbox-{star}") == 6
            assert targets.count(f"openai/sandbox-{star}") == 2


CLIENTS = config(
    PROVIDERS,
    {"fast": model("openai/sandbox-chat"), "box-*": model("azure/sandbox-*")},
    aliases={"a": "fast", "fast-*": "box-*", r"~gpt-(.*)": r"azure/\1"},
    defaults={"openai": "fast", "unknown_model": "default"},
    clients={
        "some": {"key": "some", "models": ["openai/*", "fa*-*"]},
        "by_alias": {"key": "by_alias", "models": ["a"]},
        "bare": {"key": "bare", "models": ["sandbox-s*"]},
        "all": {"key": "all", "models": ["*"]},
    },
)


@pytest.mark.parametrize(
    ("key", "allowed", "forbidden"),
    [
        (
            "some",
            ["openai/sandbox-chat", "openai/sandbox-small", "sandbox-chat"],
            # Aliases and defaults lead elsewhere, whatever they are called.
            ["fast", "a", "fast-chat", "fast-unknown", "gpt-sandbox-chat", "nothing", "box-chat"],
        ),
        ("by_alias", ["fast", "a", "nothing"], ["openai/sandbox-chat", "box-chat", "sandbox-chat"]),
        ("bare", ["sandbox-small"], ["sandbox-chat", "openai/sandbox-small", "fast"]),
        ("all", ["fast", "a", "box-chat", "gpt-sandbox-chat", "azure/sandbox-chat"], []),
    ],
)
async def test_a_list_is_held_to_what_a_name_leads_to(
    key: str, allowed: list[str], forbidden: list[str], autojump_clock: MockClock
) -> None:
    async with open_world(CLIENTS, sandboxes=sandboxes("openai", "azure")) as world:
        for name in allowed:
            assert (await world.ask(model=name, key=key)).status_code == 200, name
            card = await world.client.get(
                f"{GATEWAY}/v1/models/{name}", headers={"authorization": f"Bearer {key}"}
            )
            assert card.status_code == (404 if name == "nothing" else 200), name
        for name in forbidden:
            assert (await world.ask(model=name, key=key)).status_code == 403, name
            card = await world.client.get(
                f"{GATEWAY}/v1/models/{name}", headers={"authorization": f"Bearer {key}"}
            )
            assert card.status_code == 404, name


async def test_each_client_is_shown_what_it_may_ask_for(autojump_clock: MockClock) -> None:
    async with open_world(CLIENTS, sandboxes=sandboxes("openai", "azure")) as world:
        for provider in world.gateway.providers.values():
            await provider.listing.first_try()
        for key in ("some", "by_alias", "bare", "all"):
            answer = await world.client.get(
                f"{GATEWAY}/v1/models", headers={"authorization": f"Bearer {key}"}
            )
            shown = [each["id"] for each in answer.json()["data"]]
            assert len(set(shown)) == len(shown)
            match key:
                case "some":
                    assert shown
                    assert all(name.startswith("openai/") for name in shown)
                case "by_alias":
                    assert shown == ["fast", "a"]
                case "bare":
                    assert shown == ["sandbox-small"]
                case "all":
                    assert {"fast", "a", "box-chat", "openai/sandbox-chat"} <= set(shown)
                    assert not any("*" in name for name in shown)
            for name in shown:
                status = (await world.ask(model=name, key=key)).status_code
                assert status in (200, 400), name  # models of embeddings don't chat


@pytest.mark.parametrize(
    ("sections", "path", "said"),
    [
        ({"models": {"a*b*": model()}}, "models.a*b*", "more than one star"),
        ({"models": {"a": model("openai/*")}}, "models.a.targets[0]", "'a-*'"),
        ({"models": {"a*": model("openai/x*y*")}}, "models.a*.targets[0]", "azure/gpt-*"),
        ({"aliases": {"a": "nothing"}}, "aliases.a", "names no model"),
        ({"aliases": {"a": "openai/m", "b": "a"}}, "aliases.b", "openai/m"),
        ({"aliases": {"a": "x*"}}, "aliases.a", "has a star"),
        ({"aliases": {"a*b*": "openai/m"}}, "aliases.a*b*", "more than one star"),
        ({"aliases": {"m": "openai/m"}, "models": {"m": model()}}, "aliases.m", "a model, too"),
        ({"aliases": {"claude-.*": "openai/m"}}, "aliases.claude-.*", '"~claude-.*"'),
        ({"aliases": {"~(a+)+": "openai/m"}}, "aliases.~(a+)+", "repeats a group"),
        ({"aliases": {"~(": "openai/m"}}, "aliases.~(", "no regular expression"),
        ({"aliases": {"~a": r"openai/\1"}}, "aliases.~a", "names group '1'"),
        ({"aliases": {"a": "auto:speed"}}, "aliases.a", "'speed'"),
        ({"defaults": {"openai": "gpt"}}, "defaults.openai", "names no model"),
        (
            {"clients": {"c": {"key": "k", "models": ["fats"]}}, "aliases": {"fast": "openai/m"}},
            "clients.c.models[0]",
            "'fast'",
        ),
    ],
)
def test_names_that_lead_nowhere_are_told_with_the_mend(
    sections: dict[str, object], path: str, said: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        names(**sections)
    (problem,) = caught.value.problems
    assert (
        problem.path.replace("['", ".").replace("']", "").replace('["', ".").replace('"]', "")
        == path
    )
    assert said in str(caught.value)


def test_names_that_lead_somewhere_are_taken() -> None:
    names(
        models={"gpt-*": model("openai/gpt-*")},
        aliases={"a": "gpt-5", "b": "auto:tools,ctx>=100k", "c*": "azure/c*", "d[1m]": "openai/d"},
        defaults={"openai": "gpt-4", "anthropic": "auto", "ollama": "cx"},
        clients={"c": {"key": "k", "models": ["gpt-7", "a", "*/x", "meta/*"]}},
    )


PAGE = (Path(__file__).parents[2] / "docs" / "routing.md").read_text()


@pytest.mark.parametrize("block", re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL))
def test_the_examples_of_the_page_on_routing_load(block: str) -> None:
    kinds = ("openai", "azure", "anthropic")
    providers = "".join(f"  {k}: {{kind: sandbox, base_url: 'http://up.test'}}\n" for k in kinds)
    text = f"providers:\n{providers}{block}"
    assert settings_from_yaml(text.encode(), source="page", environ={}).providers
