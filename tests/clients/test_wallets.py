"""cosmpy and @cosmjs/stargate, unmodified, send coins and read balances."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from cosmpy.aerial.client import LedgerClient, NetworkConfig
from cosmpy.aerial.wallet import LocalWallet
from cosmpy.crypto.keypairs import PrivateKey as CosmpyKey

from pivot.primitives.keys import PrivateKey
from tests.chain.chain import CHAIN_ID, Chain
from tests.e2e.network import Network
from tests.vectors import load_vectors

pytestmark = [pytest.mark.e2e, pytest.mark.clients, pytest.mark.timeout(300)]
COSMJS = "@cosmjs/stargate@0.39.0"
INSTALL_TIMEOUT_SECONDS = 180
SCRIPTS = Path(__file__).parent


def developer_key(network: Network) -> str:
    return str(network.contract["developer"]["private_key_hex"])


@pytest.fixture(scope="session")
def cosmjs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with @cosmjs/stargate and the script that uses it."""
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("npm is not installed")
    folder = tmp_path_factory.mktemp("cosmjs")
    command = [npm, "install", "--silent", "--no-audit", "--no-fund", "--prefix", str(folder), COSMJS]
    command += ["@cosmjs/encoding@0.39.0", "@cosmjs/proto-signing@0.39.0", "@cosmjs/amino@0.39.0"]
    command += ["@scure/base@2.0.0"]  # 2.2 refuses what this @cosmjs asks of it when several keys sign
    done = subprocess.run(command, capture_output=True, text=True, timeout=INSTALL_TIMEOUT_SECONDS, check=False)
    if done.returncode:
        pytest.skip(f"{COSMJS} cannot be installed here: {done.stderr[-300:]}")
    for script in ("wallet.mjs", "amino.mjs"):
        shutil.copy(SCRIPTS / script, folder)
    return folder


def test_cosmjs_sends_coins_and_reads_the_balance(two_hosts: Network, cosmjs: Path) -> None:
    recipient = PrivateKey(b"\x07" * 32).address
    script = ["node", "wallet.mjs", two_hosts.hosts[0]["rpc_url"], developer_key(two_hosts), recipient, "1234"]
    done = subprocess.run(script, cwd=cosmjs, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    assert told["code"] == 0
    assert told["height"] > 0
    assert told["balance"] == {"denom": "ngonka", "amount": "1234"}
    assert told["chainId"] == two_hosts.contract["chain_id"]


def test_cosmjs_signs_in_amino_json_for_one_key_and_for_several(cosmjs: Path) -> None:
    """The kept vectors are what the published wallet makes today, and the chain takes all transfers among them."""
    script = ["node", "amino.mjs", CHAIN_ID]
    done = subprocess.run(script, cwd=cosmjs, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    made: dict[str, Any] = json.loads(done.stdout)
    assert made == load_vectors("amino_json.json")
    chain = Chain({made["single"]: 1_000, made["multisig"]: 1_000})
    for transaction in made["transactions"]:
        if all(".bank." in name for name in transaction["messages"]):
            (result,) = chain.block(bytes.fromhex(transaction["tx_raw_hex"]))
            assert result.code == 0, result.log


@pytest.mark.parametrize("interface", ["rest", "grpc"])
def test_cosmpy_sends_coins_and_reads_the_balance(two_hosts: Network, interface: str) -> None:
    host = two_hosts.hosts[1]
    url = f"rest+{host['rest_url']}" if interface == "rest" else f"grpc+http://{host['grpc_url']}"
    config = NetworkConfig(
        chain_id=two_hosts.contract["chain_id"],
        url=url,
        fee_minimum_gas_price=0,
        fee_denomination="ngonka",
        staking_denomination="ngonka",
    )
    ledger = LedgerClient(config)
    wallet = LocalWallet(CosmpyKey(bytes.fromhex(developer_key(two_hosts))), prefix="gonka")
    recipient = PrivateKey(interface.encode() * 8).address
    ledger.send_tokens(recipient, 4321, "ngonka", wallet).wait_to_complete(timeout=30, poll_period=0.2)
    assert ledger.query_bank_balance(recipient, "ngonka") == 4321
