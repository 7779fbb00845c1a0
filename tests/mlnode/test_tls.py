"""With a client authority, an ML node hears its network node alone, and shows it its own certificate."""

from __future__ import annotations

import asyncio
import os
import ssl
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from pydantic import ValidationError

from pivot.api.fleet.client import MlNodeClient
from pivot.api.settings import HttpSettings
from pivot.api.tls import server_context, session_to_ml_nodes
from pivot.mlnode.settings import MlNodeSettings, sentences
from pivot.mlnode.tls import UnusableCertificate, tls_of
from pivot.protocol.mlnode_api import PowInit
from tests.certificates import Authority, Pair
from tests.mlnode.fakes import FakeApiNode, sprint
from tests.mlnode.test_run import UP, free_port


@dataclass(frozen=True)
class Certificates:
    """Of one host, and of a stranger."""

    authority: Authority
    network_node: Pair
    ml_node: Pair
    stranger: Pair

    @property
    def of_network_node(self) -> HttpSettings:
        return HttpSettings(
            tls_certificate=self.network_node.certificate,
            tls_key=self.network_node.key,
            ml_client_ca=self.authority.file,
            poc_callback_url="https://127.0.0.1:9100",
        )

    @property
    def of_ml_node(self) -> dict[str, str]:
        return {
            "MLNODE_TLS_CERTIFICATE": str(self.ml_node.certificate),
            "MLNODE_TLS_KEY": str(self.ml_node.key),
            "MLNODE_CLIENT_CA": str(self.authority.file),
        }


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    folder = tmp_path_factory.mktemp("certificates")
    host, other = Authority(folder, "host"), Authority(folder, "other")
    return Certificates(host, host.issue("network-node"), host.issue("ml-node"), other.issue("stranger"))


@asynccontextmanager
async def ml_node(made: Certificates, models: Path) -> AsyncIterator[tuple[str, str]]:
    """A running ML node with certificates. The addresses of its ports."""
    management, inference = free_port(), free_port()
    environment = {
        "MLNODE_MANAGEMENT_PORT": str(management),
        "MLNODE_INFERENCE_PORT": str(inference),
        "MLNODE_MODELS_DIR": str(models),
        "OPENBLAS_NUM_THREADS": "1",
    }
    command = (sys.executable, "-m", "pivot.mlnode")
    process = await asyncio.create_subprocess_exec(*command, env=os.environ | environment | made.of_ml_node)
    try:
        yield f"https://127.0.0.1:{management}", f"https://127.0.0.1:{inference}"
    finally:
        process.terminate()
        await process.wait()


async def health(_: web.Request) -> web.Response:
    return web.Response(status=204)


@asynccontextmanager
async def network_node(made: Certificates) -> AsyncIterator[FakeApiNode]:
    """A call-back port that wants ML nodes' certificates."""
    node, api = FakeApiNode(), made.of_network_node
    app = web.Application(client_max_size=2**20)
    app.router.add_post("/generated", node._generated)
    app.router.add_get("/health", health)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=server_context(api, api.ml_client_ca))
    await site.start()
    node.url = f"https://127.0.0.1:{site._server.sockets[0].getsockname()[1]}"  # type: ignore[union-attr]
    yield node
    await runner.cleanup()


async def until_up(http: aiohttp.ClientSession, url: str) -> None:
    while True:
        try:
            async with http.get(f"{url}/health"):
                return
        except aiohttp.ClientConnectorError:
            await asyncio.sleep(0.05)


async def test_m_item29_with_certificates_an_ml_node_serves_its_network_node_and_nobody_else(
    made: Certificates, models: Path
) -> None:
    async with (
        ml_node(made, models) as (management, inference),
        network_node(made) as api,
        session_to_ml_nodes(made.of_network_node) as http,
    ):
        await until_up(http, management)
        client = MlNodeClient(http, management, inference)
        assert (await client.try_callback(api.url)).status == 204
        await client.init_generate(PowInit.model_validate(sprint(api.url).model_dump()))
        while not api.leaves:
            await asyncio.sleep(0.02)
        await client.stop()
        await client.inference_up(UP["model"], ("--dtype", UP["dtype"]))
        question = {"prompt": "hi", "max_tokens": 3}
        async with http.post(f"{inference}/v1/completions", json=question) as answer:
            assert (await answer.json())["usage"]["completion_tokens"] == 3
        for url in (f"{management}/api/v1/state", f"{management}/health", f"{inference}/v1/models"):
            for pair in (None, made.stranger):
                with pytest.raises((aiohttp.ClientError, OSError)):
                    await http.get(url, ssl=made.authority.trusted_by(pair))
            with pytest.raises((aiohttp.ClientError, OSError)):
                await http.get(url.replace("https", "http"))


def test_half_of_the_certificates_settings_is_refused(made: Certificates) -> None:
    whole: dict[str, Any] = {
        "tls_certificate": made.ml_node.certificate,
        "tls_key": made.ml_node.key,
        "client_ca": made.authority.file,
    }
    assert MlNodeSettings(**whole, host="0.0.0.0").guarded
    for missing in whole:
        with pytest.raises(ValidationError) as refusal:
            MlNodeSettings.model_validate({**whole, missing: ""})
        assert "MLNODE_CLIENT_CA are set together" in sentences(refusal.value)[0]
    assert MlNodeSettings.model_validate(dict.fromkeys(whole, "")).client_ca is None


@pytest.mark.parametrize(
    ("field", "sentence"),
    [("tls_key", "MLNODE_TLS_KEY: .* are no certificate and its key"), ("client_ca", "MLNODE_CLIENT_CA: ")],
)
def test_files_that_do_not_fit_are_named(made: Certificates, field: str, sentence: str) -> None:
    fields = {
        "tls_certificate": made.ml_node.certificate,
        "tls_key": made.ml_node.key,
        "client_ca": made.authority.file,
        field: made.stranger.key,
    }
    with pytest.raises(UnusableCertificate, match=sentence):
        tls_of(MlNodeSettings.model_validate(fields))


async def test_a_node_with_files_that_do_not_fit_does_not_start(made: Certificates) -> None:
    settings = {**made.of_ml_node, "MLNODE_TLS_KEY": str(made.stranger.key)}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "pivot.mlnode", stderr=asyncio.subprocess.PIPE, env=os.environ | settings
    )
    _, output = await process.communicate()
    assert (process.returncode, b"MLNODE_TLS_KEY" in output) == (2, True)


def test_without_certificates_the_ports_speak_http() -> None:
    assert tls_of(MlNodeSettings()) is None


def test_certificates_of_public_authorities_open_nothing(made: Certificates) -> None:
    tls = tls_of(
        MlNodeSettings(
            tls_certificate=made.ml_node.certificate, tls_key=made.ml_node.key, client_ca=made.authority.file
        )
    )
    assert tls
    assert [len(context.get_ca_certs()) for context in (tls.ports, tls.calls)] == [1, 1]
    assert tls.ports.verify_mode is ssl.CERT_REQUIRED
