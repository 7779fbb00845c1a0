"""A signer that runs beside its chain node knows its chain after the first start."""

from pathlib import Path

import pytest

from pivot.node.errors import HomeUnusable, SeedUnreachable
from pivot.node.signer_home import SignerHome
from pivot.node.signer_start import prepare_signer
from tests.node.fake_chain_node import chain_node


async def test_the_chain_is_asked_once(tmp_path: Path, tmkms: Path) -> None:
    signer = SignerHome(tmp_path / "signer")
    async with chain_node() as seed:
        await prepare_signer(signer, tmkms, "tcp://node:26658", seed.url)
    key = signer.consensus_key()
    assert signer.chain_id() == seed.chain_id
    await prepare_signer(signer, tmkms, "other:26658", "")
    assert signer.chain_id() == seed.chain_id
    assert signer.consensus_key() == key
    assert "tcp://other:26658" in signer.config_file.read_text()


@pytest.mark.parametrize(
    ("node", "seed", "error", "sentence"),
    [
        ("node", "http://127.0.0.1:1", HomeUnusable, "tcp://host:port"),
        ("node:1", "", HomeUnusable, r"^SEED_NODE_RPC_URL \(--seed-rpc\) is not set"),
        ("node:1", "seed", HomeUnusable, "http://"),
        ("node:1", "http://127.0.0.1:1", SeedUnreachable, "^SEED_NODE_RPC_URL: "),
    ],
)
async def test_what_is_missing_is_named_and_no_key_is_made(
    node: str, seed: str, error: type[Exception], sentence: str, tmp_path: Path, tmkms: Path
) -> None:
    signer = SignerHome(tmp_path / "signer")
    with pytest.raises(error, match=sentence):
        await prepare_signer(signer, tmkms, node, seed)
    assert not signer.path.exists()
