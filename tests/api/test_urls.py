"""Other hosts' URLs are checked before they are called."""

import socket

import pytest

from pivot.api.urls import PublicResolver, UnsafeUrl, url_of


@pytest.mark.parametrize(
    "url",
    [
        "ftp://host/",
        "file:///etc/passwd",
        "http://",
        "http://user:secret@host/",
        "http://127.0.0.1:26657",
        "http://10.0.0.1",
        "http://169.254.169.254/latest/meta-data",
        "http://192.168.1.1",
        "http://0.0.0.0",
        "http://224.0.0.1",
        "http://[::1]:9000",
        "http://[fe80::1]",
        "http://[::ffff:127.0.0.1]",
        "http://[2002:7f00:0001::]",
        "http://[64:ff9b::7f00:1]",
        "http://[fec0::1]",
        "http://①②⑦.0.0.1:26657",
        "http://127。0。0。1",
        "http://host:99999",
        "http://host/delete?everything=",
        "http://host/#",
        "http://127.0.0.1%2F@host",
    ],
)
def test_a18_an_unsafe_url_is_refused(url: str) -> None:
    with pytest.raises(UnsafeUrl):
        url_of(url, "/v1/status", allow_private=False)


@pytest.mark.parametrize("url", ["http://host.example:8000", "https://8.8.8.8/x", "http://[2606:4700::1111]:9000"])
def test_a_public_url_is_taken(url: str) -> None:
    url_of(url, "/v1/status", allow_private=False)


def test_a_devnet_may_use_this_machine() -> None:
    assert str(url_of("http://127.0.0.1:9000/", "/v1/status", allow_private=True)) == "http://127.0.0.1:9000/v1/status"


async def test_a18_a_name_that_resolves_to_a_private_address_is_not_called() -> None:
    resolver = PublicResolver()
    with pytest.raises(OSError, match="not a public address"):
        await resolver.resolve("localhost", 80, socket.AF_INET)
    await resolver.close()
