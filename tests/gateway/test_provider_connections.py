"""TLS and proxies as they are configured: each provider's own, and told in a line where they
fail."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio
import trustme
from certificates import (
    common_client,
    open_tls_server,
    server_context,
    write_authority,
    write_client,
)
from proxies import open_proxy

from forebay.actors.config import ConfigError, load_settings, parse_settings
from forebay.actors.gateway import Gateway, open_gateway

AUTHORITY = trustme.CA()
FOREIGN_AUTHORITY = trustme.CA()


async def list_models(stream: trio.abc.Stream) -> None:
    """A server that lists one model, named after the client's certificate if there is one."""
    name = common_client(stream) if is_known(stream) else "m"
    body = b'{"object":"list","data":[{"id":"%s","object":"model"}]}' % name.encode()
    while data := await stream.receive_some(65_536):
        assert b"/v1/models HTTP/1.1\r\n" in data
        await stream.send_all(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)


def is_known(stream: trio.abc.Stream) -> bool:
    return isinstance(stream, trio.SSLStream) and bool(stream.getpeercert())


@asynccontextmanager
async def opened(
    providers: dict[str, dict[str, object]], environ: dict[str, str] | None = None
) -> AsyncIterator[Gateway]:
    """A gateway over real connections, whose providers have been asked for their models."""
    config = {
        "providers": {
            name: {"kind": "openai_compatible", **settings} for name, settings in providers.items()
        }
    }
    async with open_gateway(config, environ=environ or {}) as gateway:
        with trio.fail_after(10):
            for provider in gateway.providers.values():
                await provider.listing.first_try()
        yield gateway


def models(gateway: Gateway, provider: str = "gpu") -> list[str]:
    return list(gateway.providers[provider].listing.models)


def fault(gateway: Gateway, provider: str = "gpu") -> str:
    """The one line of ``/forebay/status``."""
    told = gateway.providers[provider].listing.describe()
    assert told.startswith("failed: "), told
    assert "\n" not in told
    return told.removeprefix("failed: ")


async def test_two_providers_at_one_server_come_with_their_own_certificates(
    tmp_path: Path,
) -> None:
    ca_file = write_authority(AUTHORITY, tmp_path)
    context = server_context(AUTHORITY, clients=AUTHORITY)
    async with open_tls_server(context, list_models) as port:
        providers: dict[str, dict[str, object]] = {
            name: {
                "base_url": f"https://127.0.0.1:{port}/v1",
                "tls": {"ca_file": ca_file, "client_cert": write_client(AUTHORITY, tmp_path, name)},
            }
            for name in ("ana", "ben")
        }
        async with opened(providers) as gateway:
            for _ in range(3):
                for name in providers:
                    await gateway.providers[name].refresh_listing()
                    assert models(gateway, name) == [f"{name}@clients.test"]


async def test_an_untrusted_certificate_is_told_with_the_setting_that_mends_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with open_tls_server(server_context(AUTHORITY), list_models) as port:
        url = f"https://127.0.0.1:{port}/v1"
        with caplog.at_level(logging.WARNING, "forebay.provider"):
            async with opened({"gpu": {"base_url": url}}) as gateway:
                told = fault(gateway)
    assert told == (
        f"could not connect to 127.0.0.1:{port}: its certificate is not trusted: unable to get "
        "local issuer certificate; give the authority that it comes from in "
        "providers.gpu.tls.ca_file"
    )
    assert f"provider gpu lists no models: {told}" in caplog.text


@pytest.mark.parametrize(
    ("expired", "names", "advice"),
    [
        (True, (), "have it renewed, and look at this machine's clock"),
        (
            False,
            ("other.test",),
            "call the server by a name that stands in its certificate: "
            "providers.gpu.base_url or hosts",
        ),
    ],
)
async def test_a_certificate_of_another_time_or_name_is_told_with_what_to_do(
    tmp_path: Path, expired: bool, names: tuple[str, ...], advice: str
) -> None:
    tls = {"ca_file": write_authority(AUTHORITY, tmp_path)}
    context = server_context(AUTHORITY, *names, expired=expired)
    async with open_tls_server(context, list_models) as port:
        url = f"https://127.0.0.1:{port}/v1"
        async with opened({"gpu": {"base_url": url, "tls": tls}}) as gateway:
            assert fault(gateway).endswith(f"; {advice}")


async def test_certificates_that_are_not_verified_are_warned_of(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with open_tls_server(server_context(AUTHORITY, expired=True), list_models) as port:
        url = f"https://127.0.0.1:{port}/v1"
        async with opened({"gpu": {"base_url": url, "tls": {"verify": False}}}) as gateway:
            assert models(gateway) == ["m"]
    assert "providers.gpu.tls.verify is false" in caplog.text


async def test_a_proxy_of_ones_own_comes_before_the_environments(tmp_path: Path) -> None:
    tls = {"ca_file": write_authority(AUTHORITY, tmp_path)}
    async with (
        open_proxy(password="ana:secret") as own,
        open_proxy() as general,
        open_tls_server(server_context(AUTHORITY, "gpu.test"), list_models) as port,
        opened(
            {
                "gpu": {
                    "base_url": f"https://gpu.test:{port}/v1",
                    "tls": tls,
                    "proxy": f"http://ana:secret@127.0.0.1:{own.port}",
                },
                "other": {"base_url": f"https://gpu.test:{port}/v1", "tls": tls},
                "direct": {
                    "base_url": f"https://127.0.0.1:{port}/v1",
                    "tls": tls,
                    "proxy": "none",
                },
            },
            {"HTTPS_PROXY": f"http://127.0.0.1:{general.port}"},
        ) as gateway,
    ):
        assert models(gateway, "gpu") == models(gateway, "other") == ["m"]
        assert "certificate is not valid for '127.0.0.1'" in fault(gateway, "direct")
    assert own.asked == general.asked == [f"CONNECT gpu.test:{port} HTTP/1.1"]


async def test_the_environment_counts_as_it_was_at_the_start(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with open_proxy() as proxy, open_tls_server(None, list_models) as port:
        for name in ("http_proxy", "no_proxy", "NO_PROXY", "REQUEST_METHOD"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{proxy.port}")
        config = {
            "providers": {
                "gpu": {"kind": "openai_compatible", "base_url": f"http://gpu.test:{port}/v1"},
                "here": {"kind": "openai_compatible", "base_url": f"http://127.0.0.1:{port}/v1"},
            }
        }
        async with open_gateway(config) as gateway:
            monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
            with trio.fail_after(10):
                for provider in gateway.providers.values():
                    await provider.listing.first_try()
            await gateway.providers["gpu"].refresh_listing()
            assert models(gateway, "gpu") == models(gateway, "here") == ["m"]
    assert set(proxy.asked) == {f"GET http://gpu.test:{port}/v1/models HTTP/1.1"}


async def test_a_proxy_that_wants_a_password_is_told_without_one_and_with_its_setting() -> None:
    async with open_proxy(password="ana:secret") as proxy:
        url = f"http://ana:WRONG@127.0.0.1:{proxy.port}"
        async with opened({"gpu": {"base_url": "https://gpu.test/v1"}}, {"ALL_PROXY": url}) as one:
            told = fault(one)
        assert told == (
            f"the proxy 127.0.0.1:{proxy.port} does not take the user name and password that it "
            "was given; write http://USER:PASSWORD@HOST:PORT in ALL_PROXY"
        )


async def test_a_proxy_that_refuses_is_told_with_the_ways_around_it() -> None:
    async with open_proxy(status=403) as proxy:
        settings: dict[str, object] = {
            "base_url": "https://gpu.test/v1",
            "proxy": f"http://127.0.0.1:{proxy.port}",
        }
        async with opened({"gpu": settings}) as gateway:
            assert fault(gateway).endswith(
                "did not connect to gpu.test:443: status 403 Said; the proxy is that of "
                "providers.gpu.proxy: have it let this address pass, or go around it with NO_PROXY "
                "or providers.gpu.proxy: none"
            )


async def test_a_proxy_of_the_environment_that_cannot_be_used_is_an_error_at_the_start() -> None:
    """Calls that go around it unseen would be worse."""
    environ = {"ALL_PROXY": "socks5://ana:secret@proxy.test:1080"}
    with pytest.raises(ConfigError) as caught:
        async with opened({"gpu": {"base_url": "https://gpu.test/v1"}}, environ):
            pass
    assert str(caught.value) == (
        "environment: ALL_PROXY: is a SOCKS proxy; only http:// and https:// are supported; "
        "correct it, or set providers.gpu.proxy"
    )
    async with open_tls_server(None, list_models) as port:
        url = f"http://127.0.0.1:{port}/v1"
        async with opened({"gpu": {"base_url": url}}, environ) as gateway:
            assert models(gateway) == ["m"]


# What is wrong with the configuration itself.


def problems(tmp_path: Path, tls: str, *, url: str = "https://gpu.test/v1") -> str:
    """What is said of a file whose provider has these lines under ``tls``."""
    file = tmp_path / "forebay.yaml"
    file.write_text(
        f"providers:\n  gpu:\n    kind: openai_compatible\n    base_url: {url}\n    tls: {tls}\n"
    )
    try:
        load_settings(file, environ={})
    except ConfigError as error:
        return str(error).replace(str(file), "forebay.yaml")
    return ""


def test_certificate_files_are_looked_for_beside_the_configuration(tmp_path: Path) -> None:
    write_authority(AUTHORITY, tmp_path)
    write_client(AUTHORITY, tmp_path, "ana")
    assert problems(tmp_path, "{ca_file: ca.pem, client_cert: ana.pem}") == ""
    settings = load_settings(tmp_path / "forebay.yaml", environ={})
    assert settings.providers["gpu"].tls.ca_file == str(tmp_path / "ca.pem")


def test_every_fault_of_a_certificate_file_is_one_line(tmp_path: Path) -> None:
    write_authority(AUTHORITY, tmp_path)
    write_client(AUTHORITY, tmp_path, "ana")
    write_client(AUTHORITY, tmp_path, "ben")
    at = "forebay.yaml:5: providers.gpu.tls"
    assert problems(tmp_path, "{ca_file: none.pem}") == (
        f"{at}.ca_file: can't be read: No such file or directory (you wrote none.pem)"
    )
    assert problems(tmp_path, "{ca_file: forebay.yaml}") == (
        f"{at}.ca_file: holds no certificate in PEM form (you wrote forebay.yaml); "
        "openssl x509 -inform der -in FILE makes one of a binary file"
    )
    assert problems(tmp_path, "{client_cert: ana.pem, client_key: ben.pem}") == (
        f"{at}.client_key: is not the key of client_cert (you wrote ben.pem)"
    )
    assert problems(tmp_path, "{client_cert: ca.pem}") == (
        f"{at}.client_cert: holds no private key (you wrote ca.pem); "
        "name the file of the key in client_key"
    )


def test_settings_of_tls_that_contradict_each_other_are_told(tmp_path: Path) -> None:
    at = "forebay.yaml:5: providers.gpu.tls"
    assert problems(tmp_path, "{verify: false, ca_file: ca.pem}") == (
        f"{at}.ca_file: and verify: false exclude each other; keep one"
    )
    assert problems(tmp_path, "{client_key: a.key}") == (
        f"{at}.client_key: is of no use without client_cert"
    )
    assert problems(tmp_path, "{verify: perhaps}") == (
        f"{at}.verify: must be true or false (you wrote perhaps)"
    )
    assert problems(tmp_path, "{ca_file: ca.pem}", url="http://gpu.test/v1") == (
        f"{at}: is of no use: no address of this provider begins with https://; "
        "write https:// there, or remove it"
    )


def test_a_proxys_password_is_never_repeated() -> None:
    def provider(proxy: str) -> dict[str, object]:
        return {
            "providers": {"gpu": {"kind": "ollama", "proxy": proxy}},
        }

    settings = parse_settings(provider("http://ana:secret@proxy.test"))
    assert "secret" not in repr(settings)
    with pytest.raises(ConfigError) as caught:
        parse_settings(provider("socks5://ana:secret@proxy.test"))
    assert str(caught.value) == (
        "settings: providers.gpu.proxy: is a SOCKS proxy; only http:// and https:// are supported; "
        "write it as in http://proxy.example:3128, or none"
    )
