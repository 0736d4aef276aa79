"""The client's own part: which certificate it shows, which addresses it takes."""

import asyncio
import os
import ssl
from pathlib import Path

import pytest

from machinery.client import rest
from machinery.client.config import ClientConfig, ConfigError
from machinery.client.rest import Client
from machinery.component.tls import CertRequest, create_ca, issue

CA = create_ca("test")


class Server:
    """Answers over TLS, one request per connection, and keeps the serial numbers of client certificates."""

    def __init__(self, folder: Path) -> None:
        pair = issue(CA, CertRequest("server", hosts=("127.0.0.1",), server=True)).write(folder, "server")
        self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.tls.load_cert_chain(pair.cert, pair.key)
        self.tls.load_verify_locations(cadata=CA.cert_pem().decode())
        self.tls.verify_mode = ssl.CERT_OPTIONAL
        self.shown: list[int] = []

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One answer."""
        await reader.readuntil(b"\r\n\r\n")
        certificate = writer.get_extra_info("peercert")
        self.shown.append(int(certificate["serialNumber"], 16) if certificate else 0)
        writer.write(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n")
        writer.close()


async def test_a_certificate_that_is_renewed_before_its_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The old pair is shown until the new one is whole; then that one."""
    monkeypatch.setattr(rest, "_LOOK_SECONDS", 0.0)
    old, new = (issue(CA, CertRequest("ann", client=True)) for _ in range(2))
    files, server = old.write(tmp_path, "ann"), Server(tmp_path)
    listening = await asyncio.start_server(server.talk, "127.0.0.1", 0, ssl=server.tls)
    config = ClientConfig(
        f"https://127.0.0.1:{listening.sockets[0].getsockname()[1]}",
        ca=CA.cert_pem(),
        certificate=old.cert_pem(),
        key=old.key_pem(),
        certificate_file=str(files.cert),
        key_file=str(files.key),
    )
    async with listening, Client(config) as client:
        await client.request("GET", "/")
        files.cert.write_bytes(new.cert_pem())
        os.utime(files.cert, (1, 1))
        await client.request("GET", "/")
        files.key.write_bytes(new.key_pem())
        await client.request("GET", "/")
    assert server.shown == [old.certificate.serial_number] * 2 + [new.certificate.serial_number]


@pytest.mark.parametrize("server", ["http://host:99999", "http://host:port", "http://[::1"])
async def test_an_address_that_cannot_be_one(server: str) -> None:
    with pytest.raises(ConfigError, match="invalid server address"):
        async with Client(ClientConfig(server)):
            pass
