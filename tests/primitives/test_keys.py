"""Keys, addresses and signatures against vectors made by published clients."""

import base64

import pytest

from pivot.primitives import keys
from pivot.primitives.addresses import InvalidAddress, from_public_key, of_module, require
from pivot.primitives.keys import PrivateKey
from tests.vectors import load_vectors


@pytest.mark.parametrize("account", load_vectors("transactions.json")["hd_accounts"])
def test_a_mnemonic_gives_the_published_address(account: dict[str, str]) -> None:
    key = PrivateKey.from_mnemonic(account["mnemonic"], account["path"])
    assert key.address == account["address"]
    assert base64.b64encode(key.public_key).decode() == account["pubkey_base64"]


@pytest.mark.parametrize("vector", load_vectors("transactions.json")["transactions"])
def test_a_private_key_gives_the_published_address(vector: dict[str, str]) -> None:
    assert PrivateKey.from_hex(vector["private_key_hex"]).address == vector["address"]


def test_a_signature_verifies_recovers_and_fails_for_another_message() -> None:
    key = PrivateKey(b"\x01" * 32)
    signature = key.sign(b"message")
    assert keys.verify(key.public_key, b"message", signature)
    assert not keys.verify(key.public_key, b"another", signature)
    assert keys.recover(key.address, b"message", signature) == key.public_key
    with pytest.raises(keys.InvalidSignature):
        keys.recover(key.address, b"another", signature)


def test_a_high_s_signature_is_refused() -> None:
    key = PrivateKey(b"\x02" * 32)
    signature = key.sign(b"message")
    order = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
    malleated = signature[:32] + (order - int.from_bytes(signature[32:])).to_bytes(32)
    assert not keys.verify(key.public_key, b"message", malleated)


def test_module_accounts_have_the_published_addresses() -> None:
    assert of_module("gov") == "gonka10d07y265gmmuvt4z0w9aw880jnsr700j2h5m33"
    assert of_module("fee_collector") == "gonka17xpfvakm2amg962yls6f84z3kell8c5lqvy7vl"


@pytest.mark.parametrize("text", ["", "gonka1", "cosmos1xy", "gonka1set7c9kxy5vj0pdxdu36jmjje8l2ppgne4q20f", "GONKA1"])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(InvalidAddress):
        require(text)


def test_an_address_is_the_hash_of_its_key() -> None:
    key = PrivateKey(b"\x03" * 32)
    assert from_public_key(key.public_key) == key.address
