"""The example file and the reference page say what the code does."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import get_args, get_origin

import pytest
from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from forebay.actors.config import EXAMPLE_CONFIG, ConfigError, Settings
from forebay.actors.config.document import read_document
from forebay.actors.config.loading import settings_from_yaml
from forebay.actors.config.rendering import path_text

PAGE = (Path(__file__).parents[2] / "docs" / "configuration.md").read_text()
ENVIRON = {
    name: f"key-{name}"
    for name in (
        *("OPENAI_API_KEY", "ANTHROPIC_API_KEY"),
        *("ALICE_KEY", "ANA_KEY", "NIGHTLY_KEY", "APP_KEY"),
    )
}


def model_within(annotation: object) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next(filter(None, map(model_within, get_args(annotation))), None)


def settings_below(
    section: type[BaseModel] = Settings, path: str = "", seen: set[type[BaseModel]] | None = None
) -> Iterator[tuple[str, FieldInfo]]:
    """Every single setting by its path, with NAME for the names that users choose. A section that
    stands in several places is told in full where it comes first, and as one setting elsewhere."""
    seen = set() if seen is None else seen
    for name, field in section.model_fields.items():
        alias = field.validation_alias
        below = path + (alias if isinstance(alias, str) else name)
        inner = model_within(field.annotation)
        if not path and inner is None:
            below = f"{below}.NAME"
        if inner is None or inner in seen:
            yield below, field
            continue
        seen.add(inner)
        if get_origin(field.annotation) is Mapping:
            yield from settings_below(inner, f"{below}.NAME.", seen)
        else:
            yield from settings_below(inner, f"{below}.", seen)


SETTINGS = dict(settings_below())
ROWS = {
    match["path"]: match
    for match in re.finditer(
        r"^\| `(?P<path>[a-z_]+(\.\w+)+)` \| (?P<type>.+?) \| (?P<default>.+?) \| .+ \|$",
        PAGE,
        re.MULTILINE,
    )
}


def test_the_walk_over_the_settings_finds_them() -> None:
    assert len(SETTINGS) > 35
    assert {"server.host", "providers.NAME.limits.rpm", "clients.NAME.class"} <= set(SETTINGS)


def test_every_setting_stands_in_the_reference_and_nothing_else() -> None:
    assert set(ROWS) == set(SETTINGS)


@pytest.mark.parametrize("path", SETTINGS)
def test_the_reference_gives_the_right_default(path: str) -> None:
    field, said = SETTINGS[path], ROWS[path]["default"]
    if field.is_required():
        assert said == "required"
    elif (default := field.get_default(call_default_factory=True)) in (None, {}, ()) or isinstance(
        default, BaseModel
    ):
        assert said in (
            *("none", "not set", "all", "the kind's own"),
            *("`wait.max_wait_ms`", "`wait.hold`", "`defaults.on_unsupported`"),
        )
    elif isinstance(default, bool):
        assert said == f"`{str(default).lower()}`"
    else:
        assert said == (f"`{default:g}`" if isinstance(default, float) else f"`{default}`")


@pytest.mark.parametrize("path", SETTINGS)
def test_the_reference_says_what_is_secret(path: str) -> None:
    assert ("secret" in ROWS[path]["type"]) == (
        SecretStr.__name__ in repr(SETTINGS[path].annotation)
    )


def yaml_blocks() -> list[tuple[str, str]]:
    """Each YAML block of the page, with the errors that follow it, if any do."""
    return re.findall(
        r"```yaml\n(.*?)```\n(?:\n```text\n(forebay\.yaml:.*?)\n```)?", PAGE, re.DOTALL
    )


@pytest.mark.parametrize(("text", "errors"), yaml_blocks())
def test_the_worked_examples_do_what_the_page_says(text: str, errors: str) -> None:
    def load() -> Settings:
        return settings_from_yaml(text.encode(), source="forebay.yaml", environ=ENVIRON)

    if errors:
        with pytest.raises(ConfigError) as caught:
            load()
        assert str(caught.value) == errors
    else:
        assert load().providers


def test_the_page_has_worked_examples_that_load_and_ones_that_do_not() -> None:
    assert [bool(errors) for _, errors in yaml_blocks()].count(True) == 2
    assert len(yaml_blocks()) == 10


def test_the_table_of_waits_is_what_the_code_answers() -> None:
    rows = re.findall(r"^\| (\d+) \| (\S+) \| (\S+) \| (\S+) \| (\d+) \|$", PAGE, re.MULTILINE)
    assert len(rows) == 7
    for server, model, client, request, expected in rows:
        text = (
            f"wait: {{max_wait_ms: {server}}}\nproviders: {{p: {{kind: ollama}}}}\n"
            f"models: {{m: {{targets: [p/x], max_wait_ms: {model.replace('–', '')}}}}}\n"
            f"clients: {{c: {{key: k, max_wait_ms: {client.replace('–', '')}}}}}\n"
        )
        settings = settings_from_yaml(text.encode(), source="f", environ={})
        asked = None if request == "–" else int(request)
        waits = settings.max_wait_ms_for(model="m", client="c", requested_ms=asked)
        assert waits == int(expected)


def test_the_example_loads_and_says_the_defaults() -> None:
    settings = settings_from_yaml(EXAMPLE_CONFIG.encode(), source="f", environ={})
    assert settings.server == Settings().server
    assert settings.wait == Settings().wait
    assert settings.images == Settings().images
    assert settings.state == Settings().state
    assert settings.defaults == Settings().defaults
    assert list(settings.providers) == ["local"]
    assert settings.providers["local"].timeouts == type(settings.providers["local"].timeouts)()
    assert not settings.models
    assert not settings.clients


def switched_on() -> str:
    """The example with every setting that is switched off switched on."""
    return re.sub(r"^( *)#(?=[a-z])", r"\1", EXAMPLE_CONFIG, flags=re.MULTILINE)


def test_the_example_loads_with_everything_switched_on() -> None:
    settings = settings_from_yaml(switched_on().encode(), source="f", environ=ENVIRON)
    assert len(settings.providers) == 5
    assert settings.models["fast"].targets
    assert settings.clients["alice"].weight == 2


def test_the_example_holds_every_setting() -> None:
    document = read_document(switched_on(), ENVIRON)
    held = {
        re.sub(
            r"^(providers\.NAME\.targets)\.[\w-]+\.|\[\d+\]",
            lambda found: f"{found[1]}.NAME." if found[1] else "",
            re.sub(
                r"^(providers|models|aliases|clients|groups)\.[\w-]+(?=\.|$)",
                r"\1.NAME",
                path_text(at),
            ),
        )
        for at in document.positions
    }
    assert set(SETTINGS) <= held
