"""The certificates that the page on several machines makes are good for what it says, and for nothing else."""

import re
import shutil
import ssl
import subprocess
from pathlib import Path

import pytest

from pivot.api.settings import HttpSettings
from pivot.api.tls import client_context, server_context
from pivot.cli.admin_port import tls_context
from pivot.mlnode.settings import MlNodeSettings
from pivot.mlnode.tls import Tls, tls_of
from tests.docs.pages import ROOT

PAGE = (ROOT / "docs/hosts/several-machines.md").read_text()
STEPS = 10
"""More than a handshake has."""

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="the page's commands want openssl")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which the page's commands were run."""
    folder = tmp_path_factory.mktemp("made")
    [script] = re.findall(r"^```sh\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    subprocess.run(["bash", "-euc", script], cwd=folder, check=True, capture_output=True)
    return folder


@pytest.fixture
def network_node(made: Path) -> HttpSettings:
    return HttpSettings(
        tls_certificate=made / "network-node.crt",
        tls_key=made / "network-node.key",
        admin_client_ca=made / "people.crt",
        ml_client_ca=made / "machines.crt",
        poc_callback_url="https://10.0.0.5:9100",
    )


@pytest.fixture
def ml_node(made: Path) -> Tls:
    certificate, key = made / "node1.crt", made / "node1.key"
    tls = tls_of(MlNodeSettings(tls_certificate=certificate, tls_key=key, client_ca=made / "machines.crt"))
    assert tls
    return tls


def meet(server: ssl.SSLContext | None, client: ssl.SSLContext | None, address: str) -> None:
    """Raises ssl.SSLError unless both take each other's certificate."""
    assert server
    assert client
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    sides = [client.wrap_bio(back, there, server_hostname=address), server.wrap_bio(there, back, server_side=True)]
    done = set()
    for step in range(STEPS):
        try:
            sides[step % 2].do_handshake()
            done.add(step % 2)
        except ssl.SSLWantReadError:
            continue
    assert done == {0, 1}


def test_machines_know_each_other_at_their_addresses(network_node: HttpSettings, ml_node: Tls) -> None:
    meet(ml_node.ports, client_context(network_node), "10.0.0.11")
    meet(server_context(network_node, network_node.ml_client_ca), ml_node.calls, "10.0.0.5")
    with pytest.raises(ssl.SSLError, match="not valid for"):
        meet(ml_node.ports, client_context(network_node), "10.0.0.12")


def test_people_call_the_admin_port_and_machines_do_not(made: Path, network_node: HttpSettings, ml_node: Tls) -> None:
    ada = tls_context(made / "ada.pem", made / "machines.crt")
    admin = server_context(network_node, network_node.admin_client_ca)
    meet(admin, ada, "127.0.0.1")
    for server, client, address in ((admin, ml_node.calls, "10.0.0.5"), (ml_node.ports, ada, "10.0.0.11")):
        with pytest.raises(ssl.SSLError):
            meet(server, client, address)
