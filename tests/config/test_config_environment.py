"""Providers found in the environment, without a file."""

import pytest

from forebay.actors.config import ConfigError, Settings, settings_from_environment
from forebay.actors.config.environment import ollama_url


def test_an_empty_environment_gives_no_providers() -> None:
    assert settings_from_environment({}) == Settings()
    assert settings_from_environment({"OPENAI_API_KEY": " ", "OLLAMA_HOST": ""}) == Settings()


def test_keys_give_their_providers() -> None:
    settings = settings_from_environment({"OPENAI_API_KEY": "sk-1\n", "ANTHROPIC_API_KEY": "sk-2"})
    assert list(settings.providers) == ["openai", "anthropic"]
    openai, anthropic = settings.providers["openai"], settings.providers["anthropic"]
    assert (openai.kind, openai.base_url) == ("openai", None)
    assert openai.api_key is not None
    assert openai.api_key.get_secret_value() == "sk-1"
    assert (anthropic.kind, anthropic.base_url) == ("anthropic", None)
    assert anthropic.api_key is not None
    assert anthropic.api_key.get_secret_value() == "sk-2"


def test_base_urls_are_respected_but_give_no_provider_alone() -> None:
    environ = {
        "OPENAI_API_KEY": "sk-1",
        "OPENAI_BASE_URL": "http://127.0.0.1:8000/v1/",
        "ANTHROPIC_BASE_URL": "http://127.0.0.1:9000",
    }
    settings = settings_from_environment(environ)
    assert list(settings.providers) == ["openai"]
    assert settings.providers["openai"].base_url == "http://127.0.0.1:8000/v1"


def test_a_local_ollama_is_used_unless_another_host_is_named() -> None:
    found = settings_from_environment({}, local_ollama=True)
    assert found.providers["ollama"].hosts == ("http://127.0.0.1:11434",)
    named = settings_from_environment({"OLLAMA_HOST": "box:1234"}, local_ollama=True)
    assert named.providers["ollama"].hosts == ("http://box:1234",)
    assert named.providers["ollama"].kind == "ollama"


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("box", "http://box:11434"),
        ("box:1234", "http://box:1234"),
        (":1234", "http://127.0.0.1:1234"),
        ("box:", "http://box:11434"),
        ("192.168.0.7", "http://192.168.0.7:11434"),
        ("0.0.0.0", "http://127.0.0.1:11434"),
        ("0.0.0.0:1234", "http://127.0.0.1:1234"),
        ("http://0.0.0.0:1234", "http://127.0.0.1:1234"),
        ("http://box:1234", "http://box:1234"),
        ("http://box", "http://box"),
        ("https://box/ollama/", "https://box/ollama/"),
        ("box/ollama", "http://box:11434/ollama"),
        ("::1", "http://[::1]:11434"),
        ("[::1]", "http://[::1]:11434"),
        ("[::1]:1234", "http://[::1]:1234"),
        ("::", "http://[::1]:11434"),
        ("[::]:1234", "http://[::1]:1234"),
    ],
)
def test_ollama_host_is_read_as_ollama_reads_it(host: str, url: str) -> None:
    assert ollama_url(host) == url
    settings = settings_from_environment({"OLLAMA_HOST": f' "{host}" '})
    assert settings.providers["ollama"].hosts == (url.rstrip("/"),)


@pytest.mark.parametrize(
    ("environ", "line"),
    [
        (
            {"OPENAI_API_KEY": "a b"},
            "environment: OPENAI_API_KEY: must not hold spaces",
        ),
        (
            {"ANTHROPIC_API_KEY": "k", "ANTHROPIC_BASE_URL": "http://user:pw@a"},
            "environment: ANTHROPIC_BASE_URL: must not hold a user name or password;"
            " use api_key or headers",
        ),
        (
            {"OLLAMA_HOST": "ftp://a"},
            "environment: OLLAMA_HOST: must be a URL that begins with http:// or https://;"
            " write it as in http://127.0.0.1:8000/v1",
        ),
        ({"OLLAMA_HOST": "box:port"}, None),
    ],
)
def test_a_bad_value_names_its_variable(environ: dict[str, str], line: str | None) -> None:
    with pytest.raises(ConfigError) as caught:
        settings_from_environment(environ)
    (problem,) = caught.value.problems
    assert problem.path in environ
    assert caught.value.__context__ is None
    if line is not None:
        assert str(caught.value) == line


@pytest.mark.parametrize(
    "environ",
    [
        {"OPENAI_API_KEY": "k", "OPENAI_BASE_URL": "http://localhost:4290/v1"},
        {"ANTHROPIC_API_KEY": "k", "ANTHROPIC_BASE_URL": "http://127.0.0.1:4290"},
        {"OLLAMA_HOST": "127.0.0.1:4290"},
    ],
)
def test_clients_settings_that_lead_to_the_gateway_do_not_make_it_call_itself(
    environ: dict[str, str],
) -> None:
    with pytest.raises(ConfigError, match="is the address of this gateway itself"):
        settings_from_environment(environ)
