"""Who is trusted over TLS, and who one comes as: real handshakes on loopback."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest
import trio
import trustme
from certificates import (
    common_client,
    open_refusing_server,
    open_tls_server,
    server_context,
    write_authority,
    write_client,
)

from forebay.actors.upstream import ConnectFailed, ConnectFault, ConnectionStack, OriginStatistics
from forebay.actors.upstream.tls import TlsFileWrong, TlsOptions, client_context, system_trust
from tests.upstream.conftest import Peer, answer_each, plain, post_and_read, statistics_of

AUTHORITY = trustme.CA()
OTHER_AUTHORITY = trustme.CA()


async def answer(stream: trio.abc.Stream) -> None:
    await answer_each(Peer(stream, lambda _: None))


async def answer_with_name_of_client(stream: trio.abc.Stream) -> None:
    peer = Peer(stream, lambda _: None)
    name = common_client(stream).encode()
    while await peer.request() is not None:
        await peer.send(plain(name))


def stack_with(**options: object) -> ConnectionStack:
    return ConnectionStack(ssl_context=client_context(TlsOptions(**options)))  # type: ignore[arg-type]


async def refusal(stack: ConnectionStack, url: str) -> ConnectFailed:
    with pytest.raises(ConnectFailed) as caught:
        await post_and_read(stack, url=url)
    return caught.value


async def test_a_server_of_a_known_authority_is_trusted(tmp_path: Path) -> None:
    path = write_authority(AUTHORITY, tmp_path)
    async with (
        open_tls_server(server_context(AUTHORITY), answer) as port,
        stack_with(ca_file=path) as stack,
    ):
        for _ in range(3):
            assert await post_and_read(stack, url=f"https://127.0.0.1:{port}/") == b"{}"
        assert statistics_of(stack) == OriginStatistics(idle=1, active=0, opened=1)


@pytest.mark.parametrize("options", [{}, {"ca_file": True}])
async def test_a_server_of_an_unknown_authority_is_not_trusted(
    tmp_path: Path, options: dict[str, object]
) -> None:
    if options:
        options = {"ca_file": write_authority(OTHER_AUTHORITY, tmp_path)}
    async with (
        open_tls_server(server_context(AUTHORITY), answer) as port,
        stack_with(**options) as stack,
    ):
        failed = await refusal(stack, f"https://127.0.0.1:{port}/")
    assert failed.fault is ConnectFault.UNTRUSTED
    assert str(failed) == (
        f"could not connect to 127.0.0.1:{port}: its certificate is not trusted: "
        "unable to get local issuer certificate"
    )


def test_an_authority_of_ones_own_stands_instead_of_the_systems(tmp_path: Path) -> None:
    context = client_context(TlsOptions(ca_file=write_authority(AUTHORITY, tmp_path)))
    assert context.cert_store_stats()["x509_ca"] == 1
    assert client_context(TlsOptions()) is system_trust()


async def test_an_authority_between_the_root_and_the_server_can_be_trusted_alone(
    tmp_path: Path,
) -> None:
    between = AUTHORITY.create_child_ca()
    path = write_authority(between, tmp_path)
    async with (
        open_tls_server(server_context(between), answer) as port,
        stack_with(ca_file=path) as stack,
    ):
        assert await post_and_read(stack, url=f"https://127.0.0.1:{port}/") == b"{}"


async def test_a_certificate_for_another_name_is_not_trusted(tmp_path: Path) -> None:
    path = write_authority(AUTHORITY, tmp_path)
    async with (
        open_tls_server(server_context(AUTHORITY, "other.test"), answer) as port,
        stack_with(ca_file=path) as stack,
    ):
        by_address = await refusal(stack, f"https://127.0.0.1:{port}/")
        by_name = await refusal(stack, f"https://localhost:{port}/")
    assert by_address.fault is by_name.fault is ConnectFault.OTHER_NAME
    assert "Hostname mismatch, certificate is not valid for 'localhost'" in str(by_name)


async def test_a_certificate_that_has_expired_is_not_trusted(tmp_path: Path) -> None:
    path = write_authority(AUTHORITY, tmp_path)
    async with (
        open_tls_server(server_context(AUTHORITY, expired=True), answer) as port,
        stack_with(ca_file=path) as stack,
    ):
        failed = await refusal(stack, f"https://127.0.0.1:{port}/")
    assert failed.fault is ConnectFault.EXPIRED
    assert str(failed).endswith("its certificate is not trusted: certificate has expired")


async def test_without_verification_any_certificate_will_do() -> None:
    async with (
        open_tls_server(server_context(AUTHORITY, "other.test", expired=True), answer) as port,
        stack_with(verify=False) as stack,
    ):
        assert await post_and_read(stack, url=f"https://127.0.0.1:{port}/") == b"{}"


@pytest.mark.parametrize("newest", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
class TestClientCertificates:
    async def test_a_client_comes_with_its_certificate(
        self, tmp_path: Path, newest: ssl.TLSVersion
    ) -> None:
        path, ana = write_authority(AUTHORITY, tmp_path), write_client(AUTHORITY, tmp_path, "ana")
        context = server_context(AUTHORITY, clients=AUTHORITY, newest=newest)
        async with (
            open_tls_server(context, answer_with_name_of_client) as port,
            stack_with(ca_file=path, client_cert=ana) as stack,
        ):
            url = f"https://127.0.0.1:{port}/"
            assert await post_and_read(stack, url=url) == b"ana@clients.test"

    async def test_a_client_without_one_is_told_that_it_needs_one(
        self, tmp_path: Path, newest: ssl.TLSVersion
    ) -> None:
        """By TLS 1.3 it hears of it only after the handshake; nothing was served all the same."""
        path = write_authority(AUTHORITY, tmp_path)
        context = server_context(AUTHORITY, clients=AUTHORITY, newest=newest)
        async with (
            open_refusing_server(context) as port,
            stack_with(ca_file=path) as stack,
        ):
            failed = await refusal(stack, f"https://127.0.0.1:{port}/")
        assert failed.fault in (ConnectFault.WANTS_CERTIFICATE, ConnectFault.REFUSES_CERTIFICATE)

    async def test_a_certificate_that_the_server_does_not_know_is_told(
        self, tmp_path: Path, newest: ssl.TLSVersion
    ) -> None:
        path = write_authority(AUTHORITY, tmp_path)
        eve = write_client(OTHER_AUTHORITY, tmp_path, "eve")
        context = server_context(AUTHORITY, clients=AUTHORITY, newest=newest)
        async with (
            open_refusing_server(context) as port,
            stack_with(ca_file=path, client_cert=eve) as stack,
        ):
            failed = await refusal(stack, f"https://127.0.0.1:{port}/")
        assert failed.fault is ConnectFault.REFUSES_CERTIFICATE


async def test_a_server_that_speaks_plain_http_is_told_apart() -> None:
    async def plain_http(stream: trio.abc.Stream) -> None:
        await stream.receive_some(1000)
        await stream.send_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")

    async with open_tls_server(None, plain_http) as port, stack_with(verify=False) as stack:
        failed = await refusal(stack, f"https://127.0.0.1:{port}/")
    assert failed.fault is ConnectFault.NO_TLS


class TestFiles:
    def wrong(self, **options: object) -> TlsFileWrong:
        with pytest.raises(TlsFileWrong) as caught:
            client_context(TlsOptions(**options))  # type: ignore[arg-type]
        return caught.value

    def test_a_file_that_is_not_there_is_told(self, tmp_path: Path) -> None:
        for option in ("ca_file", "client_cert"):
            wrong = self.wrong(**{option: str(tmp_path / "none.pem")})
            assert (wrong.option, str(wrong)) == (
                option,
                "can't be read: No such file or directory",
            )

    def test_a_file_without_a_certificate_is_told(self, tmp_path: Path) -> None:
        path = tmp_path / "text.pem"
        path.write_text("hello")
        for option in ("ca_file", "client_cert"):
            wrong = self.wrong(**{option: str(path)})
            assert (wrong.option, str(wrong)) == (option, "holds no certificate in PEM form")

    def test_a_damaged_certificate_is_told(self, tmp_path: Path) -> None:
        path = tmp_path / "bad.pem"
        path.write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
        assert str(self.wrong(ca_file=str(path))) == "holds a certificate that can't be read"

    def test_a_key_of_another_certificate_is_told(self, tmp_path: Path) -> None:
        one, other = write_client(AUTHORITY, tmp_path, "a"), write_client(AUTHORITY, tmp_path, "b")
        wrong = self.wrong(client_cert=one, client_key=other)
        assert (wrong.option, str(wrong)) == ("client_key", "is not the key of client_cert")

    def test_a_missing_key_is_told(self, tmp_path: Path) -> None:
        alone = tmp_path / "alone.pem"
        AUTHORITY.issue_cert("a@clients.test").cert_chain_pems[0].write_to_path(str(alone))
        assert str(self.wrong(client_cert=str(alone))) == "holds no private key"
        wrong = self.wrong(client_cert=str(alone), client_key=str(alone))
        assert str(wrong) == "holds no private key in PEM form"

    def test_an_encrypted_key_needs_its_password_and_never_asks_the_terminal(
        self, tmp_path: Path
    ) -> None:
        paths = encrypted_client(tmp_path, password="open sesame")
        assert str(self.wrong(**paths)) == "is encrypted"
        for password in ("shut", ""):
            wrong = self.wrong(**paths, client_key_password=password)
            assert wrong.option == "client_key_password"
            assert str(wrong) == "does not open client_key"
        client_context(
            TlsOptions(
                client_cert=paths["client_cert"],
                client_key=paths["client_key"],
                client_key_password="open sesame",
            )
        )

    def test_a_password_is_never_shown(self) -> None:
        assert "sesame" not in repr(TlsOptions(client_key_password="open sesame"))


def encrypted_client(folder: Path, *, password: str) -> dict[str, str]:
    from cryptography.hazmat.primitives import serialization

    client = AUTHORITY.issue_cert("a@clients.test")
    key = serialization.load_pem_private_key(client.private_key_pem.bytes(), None)
    cert, locked = folder / "cert.pem", folder / "locked.key"
    client.cert_chain_pems[0].write_to_path(str(cert))
    locked.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(password.encode()),
        )
    )
    return {"client_cert": str(cert), "client_key": str(locked)}
