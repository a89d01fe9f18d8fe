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


@pytest.mark.parametrize(
    ("variable", "kind"),
    [
        ("OPENROUTER_API_KEY", "openrouter"),
        ("TOGETHER_API_KEY", "together"),
        ("HF_TOKEN", "huggingface"),
        ("ZAI_API_KEY", "zai"),
        ("GROQ_API_KEY", "groq"),
        ("DEEPSEEK_API_KEY", "deepseek"),
        ("MISTRAL_API_KEY", "mistral"),
        ("GEMINI_API_KEY", "gemini"),
        ("XAI_API_KEY", "xai"),
        ("OLLAMA_API_KEY", "ollama_cloud"),
    ],
)
def test_each_key_gives_the_provider_of_its_kind(variable: str, kind: str) -> None:
    settings = settings_from_environment({variable: "key-1"})
    ((name, provider),) = settings.providers.items()
    assert (name, provider.kind, provider.base_url) == (kind, kind, None)
    assert provider.api_key is not None
    assert provider.api_key.get_secret_value() == "key-1"


@pytest.mark.parametrize(
    "endpoint",
    [
        "https://res.openai.azure.com",
        "https://res.openai.azure.com/",
        "https://res.openai.azure.com/openai/v1/",
    ],
)
def test_azure_needs_its_endpoint_in_any_form(endpoint: str) -> None:
    environ = {"AZURE_OPENAI_API_KEY": "key-1"}
    assert not settings_from_environment(environ).providers
    environ["AZURE_OPENAI_ENDPOINT"] = endpoint
    azure = settings_from_environment(environ).providers["azure"]
    assert azure.base_url == "https://res.openai.azure.com/openai/v1"


def test_a_wrong_endpoint_is_told_by_its_variable() -> None:
    environ = {"AZURE_OPENAI_API_KEY": "key-1", "AZURE_OPENAI_ENDPOINT": "res.openai.azure.com"}
    with pytest.raises(ConfigError, match="AZURE_OPENAI_ENDPOINT"):
        settings_from_environment(environ)


def test_a_key_is_not_required_of_an_endpoint_of_ones_own() -> None:
    def problems(**provider: object) -> str:
        try:
            Settings.model_validate({"providers": {"up": {"kind": "huggingface", **provider}}})
        except ValueError as wrong:
            return str(wrong)
        return ""

    assert "is required" in problems()
    assert not problems(base_url="http://127.0.0.1:8080/v1")
    assert not problems(api_key="hf-1")
