"""TLS of the listening socket: which versions, whose certificates, and files that change while it serves."""

import asyncio
import ssl
from pathlib import Path

import pytest

from apiserver.listener import ReloadingTLS, TLSSettings
from machinery.component import tls
from machinery.component.tls import CertRequest, KeyPair

CA, NEXT_CA = tls.create_ca("ca"), tls.create_ca("next")


def serve_with(folder: Path, authority: KeyPair) -> None:
    """Write what a server needs, all of one authority."""
    request = CertRequest("server", hosts=("127.0.0.1",), server=True)
    tls.issue(authority, request).write(folder, "server")
    (folder / "ca.crt").write_bytes(authority.cert_pem())


def settings(folder: Path, minimum: str = "") -> TLSSettings:
    """Over those files."""
    cert, key, ca = (str(folder / name) for name in ("server.crt", "server.key", "ca.crt"))
    return TLSSettings(cert, key, ca, minimum=tls.version_named(minimum))


def client(folder: Path, authority: KeyPair, name: str = "") -> ssl.SSLContext:
    """Believes an authority; shows a certificate of it if it has a name."""
    context = ssl.create_default_context(cadata=authority.cert_pem().decode())
    if name:
        files = tls.issue(authority, CertRequest(name, client=True)).write(folder, name)
        context.load_cert_chain(files.cert, files.key)
    return context


async def talk(served: ReloadingTLS, context: ssl.SSLContext) -> str:
    """Connect once; the name in the client certificate as the server sees it. Raises ssl.SSLError, OSError."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        subject = (writer.get_extra_info("peercert") or {}).get("subject", ())
        writer.write(repr(subject).encode() + b"\n")
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=served.context)
    async with server:
        port = server.sockets[0].getsockname()[1]
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
        said = (await reader.readline()).decode()
        writer.close()
        if not said:
            raise ConnectionResetError("the server ended the connection")
        return said


async def test_a_renewed_certificate_and_a_new_authority_are_used_without_a_restart(tmp_path: Path) -> None:
    serve_with(tmp_path, CA)
    served = ReloadingTLS(settings(tmp_path))
    assert "ann" in await talk(served, client(tmp_path, CA, "ann"))
    serve_with(tmp_path, NEXT_CA)
    served.refresh()
    assert "bob" in await talk(served, client(tmp_path, NEXT_CA, "bob"))
    with pytest.raises(ssl.SSLError):
        await talk(served, client(tmp_path, CA))
    stranger = client(tmp_path, NEXT_CA)
    old = tls.issue(CA, CertRequest("ann", client=True)).write(tmp_path, "old")
    stranger.load_cert_chain(old.cert, old.key)
    with pytest.raises(OSError):
        await talk(served, stranger)


async def test_files_that_cannot_be_used_leave_the_old_ones_in_place(tmp_path: Path) -> None:
    serve_with(tmp_path, CA)
    served = ReloadingTLS(settings(tmp_path))
    (tmp_path / "server.crt").write_text("half a certif")
    served.refresh()
    assert "ann" in await talk(served, client(tmp_path, CA, "ann"))


async def test_an_older_version_than_the_least_is_refused(tmp_path: Path) -> None:
    serve_with(tmp_path, CA)
    context = client(tmp_path, CA)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    assert await talk(ReloadingTLS(settings(tmp_path)), context)
    with pytest.raises(OSError):
        await talk(ReloadingTLS(settings(tmp_path, "VersionTLS13")), context)


def test_names_of_versions_and_suites_are_gos() -> None:
    assert tls.ciphers_named(["TLS_AES_128_GCM_SHA256", "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384"]) == (
        "ECDHE-RSA-AES256-GCM-SHA384"
    )
    with pytest.raises(ValueError, match="unknown tls version"):
        tls.version_named("SSLv3")
    with pytest.raises(ValueError, match="TLS_RSA_WITH_RC4_128_SHA not supported"):
        tls.ciphers_named(["TLS_RSA_WITH_RC4_128_SHA"])
