"""Who may be called back."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import aiohttp
import pytest

from pivot.mlnode.callback_hosts import CallbackHosts, ForeignCallback, GuardedResolver
from pivot.mlnode.reach import reach


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:9100/v1/poc", "http://10.0.0.5:9100", "https://[::1]:1", "http://8.8.8.8"]
)
async def test_without_a_list_known_callers_may_name_any_host(url: str) -> None:
    await CallbackHosts().require(url)


@pytest.mark.parametrize(
    "url",
    [
        "http://169.254.169.254/latest/meta-data",
        "http://2852039166/",
        "http://0xa9fea9fe/",
        "http://169.254.1",
        "http://[::ffff:169.254.169.254]/",
        "http://[64:ff9b::a9fe:a9fe]/",
        "http://[2002:a9fe:a9fe::1]/",
        "http://\uff11\uff16\uff19.254.169.254/",
        "http://[fe80::1]/",
        "http://[fe80::1%25lo]/",
        "http://[fd00:ec2::254]/",
        "http://[fd20:ce::254]/",
        "http://100.100.100.200/",
        "http://168.63.129.16/",
        "http://0.0.0.0:9100/",
        "http://[::]/",
        "http://224.0.0.1/",
        "http://255.255.255.255/",
    ],
)
@pytest.mark.parametrize("allowed", [(), ("169.254.169.254", "fd00:ec2::254", "2852039166", "0.0.0.0")])
async def test_m_item30_addresses_of_a_clouds_secrets_are_never_called(url: str, allowed: tuple[str, ...]) -> None:
    with pytest.raises(ForeignCallback, match="url: "):
        await CallbackHosts(allowed).require(url)


async def test_m_item30_with_a_list_nobody_else_is_called() -> None:
    hosts = CallbackHosts(("Network-Node", " 10.0.0.5 ", "[fd12::1]"))
    for url in ("http://10.0.0.5:9100/v1", "http://network-node:9100", "http://[fd12::1]:9100"):
        await hosts.require(url)
    for url in (
        "http://10.0.0.6:9100",
        "http://10.0.0.5@evil.example/",
        "http://evil.example\\@10.0.0.6",
        "http://10.0.0.6#@10.0.0.5/",
        "http://10.0.0.6/?@10.0.0.5",
        "http://network-node.evil.example",
    ):
        with pytest.raises(ForeignCallback, match=r"MLNODE_CALLBACK_HOSTS says who may|names no host"):
            await hosts.require(url)


async def test_m_item30_unknown_callers_name_no_host_but_those_of_the_list() -> None:
    with pytest.raises(ForeignCallback, match="MLNODE_CALLBACK_HOSTS"):
        await CallbackHosts(known_callers=False).require("http://10.0.0.5:9100")
    await CallbackHosts(("10.0.0.5",), known_callers=False).require("http://10.0.0.5:9100")


@pytest.mark.parametrize("url", ["http://", "http://:9100", "http://[", "http:///path"])
async def test_a_url_without_a_host_is_refused(url: str) -> None:
    with pytest.raises(ForeignCallback, match="names no host"):
        await CallbackHosts().require(url)


async def test_a_name_that_nobody_knows_yet_passes_and_is_looked_up_at_the_call() -> None:
    await CallbackHosts().require("http://nowhere.invalid:9100")


async def test_m_item30_a_name_that_leads_to_a_clouds_secrets_is_refused_at_once_and_at_the_call(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    loop = asyncio.get_running_loop()

    async def lookup(*_: Any, **__: Any) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("169.254.169.254", 80))]

    monkeypatch.setattr(loop, "getaddrinfo", lookup)
    with pytest.raises(ForeignCallback, match=r"metadata\.example is 169\.254\.169\.254"):
        await CallbackHosts().require("http://metadata.example/")
    connector = aiohttp.TCPConnector(resolver=GuardedResolver())
    async with aiohttp.ClientSession(connector=connector) as session:
        with pytest.raises((aiohttp.ClientError, ForeignCallback), match="which no node may be made to call"):
            await session.get("http://metadata.example/")
    assert "which no node may be made to call" in (await reach("http://metadata.example")).error


async def test_other_names_are_looked_up_as_ever() -> None:
    resolver = GuardedResolver()
    found = await resolver.resolve("localhost", 9100)
    assert ("127.0.0.1", 9100) in {(each["host"], each["port"]) for each in found}
    await resolver.close()
