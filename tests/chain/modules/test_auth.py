"""Accounts: numbers, keys, and what clients are told of them."""

import base64
import json

import cosmpy.protos  # noqa: F401
import pytest
from cosmos.auth.v1beta1 import query_pb2 as q
from cosmos.auth.v1beta1.auth_pb2 import BaseAccount, ModuleAccount
from cosmos.base.query.v1beta1.pagination_pb2 import PageRequest
from cosmos.base.v1beta1.coin_pb2 import Coin
from cosmos.crypto.secp256k1.keys_pb2 import PubKey
from cosmos.vesting.v1beta1.vesting_pb2 import BaseVestingAccount, PermanentLockedAccount
from google.protobuf.any_pb2 import Any as AnyMessage

from pivot.chain.errors import SdkCode, SdkError
from pivot.chain.modules.auth import genesis
from pivot.chain.modules.auth import state as auth
from pivot.chain.modules.auth.invariants import check_numbers
from pivot.chain.modules.auth.state import (
    Account,
    account,
    ensure_account,
    forget_expired_nonces,
    has_nonce,
    note_nonce,
    public_key,
    put,
    set_public_key,
)
from pivot.chain.modules.bank.state import MODULE_ACCOUNTS
from pivot.chain.modules.vesting.state import put_vesting_account
from pivot.primitives.addresses import InvalidAddress, of_module, to_bytes
from pivot.protocol.multisig import address_of_multisig, threshold_key
from tests.chain.chain import Chain, key, plain_block

ALICE, BOB = key("alice"), key("bob")
SERVICE = "cosmos.auth.v1beta1.Query"


def test_accounts_are_numbered_in_the_order_in_which_they_are_made() -> None:
    state = plain_block().state
    assert [ensure_account(state, each.address).number for each in (ALICE, BOB, ALICE)] == [0, 1, 0]
    assert [account(state, each.address) for each in (ALICE, BOB)] == [
        Account(ALICE.address, 0),
        Account(BOB.address, 1),
    ]


def test_an_account_is_read_as_it_was_written() -> None:
    state = plain_block().state
    for written in (Account(ALICE.address, 0), Account(ALICE.address, 7, 2**40, ALICE.public_key)):
        put(state, written)
        assert account(state, ALICE.address) == written


def test_the_row_of_an_account_is_the_published_one() -> None:
    state = plain_block().state
    put(state, Account(ALICE.address, 7, 3, ALICE.public_key))
    row = BaseAccount.FromString(dict(state.iterate("acc", b"\x01", b"\x02")).popitem()[1])
    assert (row.address, row.account_number, row.sequence) == (ALICE.address, 7, 3)
    assert row.pub_key.type_url == "/cosmos.crypto.secp256k1.PubKey"
    assert PubKey.FromString(row.pub_key.value).key == ALICE.public_key


def test_w2_an_address_takes_only_the_key_that_hashes_to_it() -> None:
    state = plain_block().state
    with pytest.raises(SdkError, match="does not hash") as caught:
        set_public_key(state, ALICE.address, BOB.public_key)
    assert caught.value.code == SdkCode.INVALID_PUBLIC_KEY
    assert account(state, ALICE.address) is None
    set_public_key(state, ALICE.address, ALICE.public_key)
    set_public_key(state, ALICE.address, ALICE.public_key)
    assert public_key(state, ALICE.address) == ALICE.public_key


@pytest.mark.parametrize("raw", [b"", bytes(33), b"\x02" * 32, b"\x05" + bytes(32)])
def test_what_is_no_key_is_refused(raw: bytes) -> None:
    with pytest.raises(SdkError, match="not a compressed"):
        set_public_key(plain_block().state, ALICE.address, raw)


def test_the_key_of_an_account_without_one_is_not_known() -> None:
    state = plain_block().state
    assert public_key(state, ALICE.address) is None
    ensure_account(state, ALICE.address)
    assert public_key(state, ALICE.address) is None
    with pytest.raises(InvalidAddress):
        account(state, "cosmos1x")


def test_nonces_are_forgotten_when_their_timeout_has_come() -> None:
    state = plain_block().state
    for timeout in (10, 20, 30):
        note_nonce(state, ALICE.address, timeout)
    forget_expired_nonces(state, 20)
    assert [has_nonce(state, ALICE.address, timeout) for timeout in (10, 20, 30)] == [False, False, True]
    assert not has_nonce(state, BOB.address, 30)


def test_one_block_forgets_some_nonces_and_the_next_one_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """Anybody can let many time-outs fall into one moment; no block may take long for it."""
    monkeypatch.setattr(auth, "FORGOTTEN_PER_BLOCK", 2)
    state = plain_block().state
    for timeout in (10, 11, 12):
        note_nonce(state, ALICE.address, timeout)
    forget_expired_nonces(state, 20)
    assert [has_nonce(state, ALICE.address, timeout) for timeout in (10, 11, 12)] == [False, False, True]
    forget_expired_nonces(state, 20)
    assert not has_nonce(state, ALICE.address, 12)


def test_the_genesis_gives_accounts_their_numbers_and_keys() -> None:
    block = plain_block()
    packed = {"@type": "/cosmos.crypto.secp256k1.PubKey", "key": base64.b64encode(BOB.public_key).decode()}
    genesis.load(
        block,
        {
            "accounts": [
                {"@type": "/cosmos.auth.v1beta1.BaseAccount", "address": ALICE.address},
                {"address": BOB.address, "pub_key": packed},
            ]
        },
    )
    assert account(block.state, ALICE.address) == Account(ALICE.address, 0)
    assert account(block.state, BOB.address) == Account(BOB.address, 1, 0, BOB.public_key)
    with pytest.raises(ValueError, match="VestingAccount"):
        genesis.load(block, {"accounts": [{"@type": "/cosmos.vesting.v1beta1.VestingAccount"}]})


def test_an_account_is_told_in_every_published_way() -> None:
    chain = Chain({ALICE.address: 1, of_module("rewards"): 5})
    packed = chain.query(f"{SERVICE}/Account", q.QueryAccountRequest(address=ALICE.address)).account
    assert packed.type_url == "/cosmos.auth.v1beta1.BaseAccount"
    found = BaseAccount.FromString(packed.value)
    info = chain.query(f"{SERVICE}/AccountInfo", q.QueryAccountInfoRequest(address=ALICE.address)).info
    assert found == info
    assert (found.address, found.account_number) == (ALICE.address, 0)
    listed: list[AnyMessage] = list(chain.query(f"{SERVICE}/Accounts", q.QueryAccountsRequest()).accounts)
    assert packed in listed
    page = q.QueryAccountsRequest(pagination=PageRequest(limit=1))
    assert chain.query(f"{SERVICE}/Accounts", page).pagination.next_key


def test_modules_accounts_say_so() -> None:
    chain = Chain({of_module("rewards"): 5})
    packed = chain.query(f"{SERVICE}/Account", q.QueryAccountRequest(address=of_module("rewards"))).account
    assert ModuleAccount.FromString(packed.value).name == "rewards"
    listed = chain.query(f"{SERVICE}/ModuleAccounts", q.QueryModuleAccountsRequest()).accounts
    names = [ModuleAccount.FromString(each.value).name for each in listed]
    assert names == sorted(MODULE_ACCOUNTS)
    one = chain.query(f"{SERVICE}/ModuleAccountByName", q.QueryModuleAccountByNameRequest(name="inference")).account
    assert ModuleAccount.FromString(one.value).base_account.address == of_module("inference")
    with pytest.raises(AssertionError, match="not found"):
        chain.query(f"{SERVICE}/ModuleAccountByName", q.QueryModuleAccountByNameRequest(name="mint"))


def test_limits_and_the_prefix_are_told() -> None:
    chain = Chain()
    params = chain.query(f"{SERVICE}/Params", q.QueryParamsRequest()).params
    assert (params.max_memo_characters, params.tx_size_cost_per_byte, params.tx_sig_limit) == (256, 10, 7)
    assert chain.query(f"{SERVICE}/Bech32Prefix", q.Bech32PrefixRequest()).bech32_prefix == "gonka"


@pytest.mark.parametrize("address", [BOB.address, "gonka1nobody", ""])
def test_an_account_that_does_not_exist_is_refused(address: str) -> None:
    with pytest.raises(AssertionError, match=r"not found|address"):
        Chain().query(f"{SERVICE}/Account", q.QueryAccountRequest(address=address))


def test_an_account_is_found_by_its_number() -> None:
    chain = Chain({ALICE.address: 10})
    number = chain.account(ALICE.address).number
    answer = chain.query(f"{SERVICE}/AccountAddressByID", q.QueryAccountAddressByIDRequest(account_id=number))
    older = chain.query(f"{SERVICE}/AccountAddressByID", q.QueryAccountAddressByIDRequest(id=number))
    assert answer.account_address == older.account_address == ALICE.address
    with pytest.raises(AssertionError, match="account number 99"):
        chain.query(f"{SERVICE}/AccountAddressByID", q.QueryAccountAddressByIDRequest(account_id=99))


def test_addresses_are_translated() -> None:
    chain = Chain()
    raw = to_bytes(ALICE.address)
    text = chain.query(f"{SERVICE}/AddressBytesToString", q.AddressBytesToStringRequest(address_bytes=raw))
    assert text.address_string == ALICE.address
    back = chain.query(f"{SERVICE}/AddressStringToBytes", q.AddressStringToBytesRequest(address_string=ALICE.address))
    assert back.address_bytes == raw
    with pytest.raises(AssertionError, match="3 bytes are no address"):
        chain.query(f"{SERVICE}/AddressBytesToString", q.AddressBytesToStringRequest(address_bytes=b"abc"))
    with pytest.raises(AssertionError, match="address_string"):
        chain.query(f"{SERVICE}/AddressStringToBytes", q.AddressStringToBytesRequest(address_string="gonka1x"))


def test_an_export_gives_the_same_rows() -> None:
    shared = threshold_key([ALICE.public_key, BOB.public_key], 2)
    several = address_of_multisig(shared)
    block = plain_block()
    for address in (BOB.address, of_module("distribution"), several, ALICE.address):
        ensure_account(block.state, address)
    put(block.state, Account(ALICE.address, 3, 7, ALICE.public_key))
    put(block.state, Account(several, 2, 1, multisig=shared.SerializeToString(deterministic=True)))
    note_nonce(block.state, ALICE.address, 5_000_000_001)
    exported = genesis.export(block.state)
    other = plain_block()
    genesis.load(other, json.loads(json.dumps(exported)))
    assert list(other.state.iterate("acc")) == list(block.state.iterate("acc"))
    assert [entry["@type"].rpartition(".")[2] for entry in exported["accounts"]] == [
        "BaseAccount",
        "ModuleAccount",
        "BaseAccount",
        "BaseAccount",
    ]


def test_a_key_of_another_type_or_of_another_account_is_refused() -> None:
    foreign = BaseAccount(address=ALICE.address, pub_key=AnyMessage(type_url="/cosmos.crypto.ed25519.PubKey"))
    with pytest.raises(SdkError, match="ed25519"):
        auth.account_of(foreign)
    wrong = threshold_key([ALICE.public_key], 1).SerializeToString()
    with pytest.raises(SdkError, match="does not hash to the address"):
        auth.check_multisig(BOB.address, wrong)
    with pytest.raises(SdkError, match="not 0 of 0"):
        auth.check_multisig(BOB.address, b"")


def test_a_vesting_account_is_exported_with_what_it_locks() -> None:
    locked = BaseVestingAccount(original_vesting=[Coin(denom="ngonka", amount="5")])
    block = plain_block()
    ensure_account(block.state, ALICE.address)
    put_vesting_account(block.state, ALICE.address, PermanentLockedAccount(base_vesting_account=locked))
    exported = genesis.export(block.state)
    assert exported["accounts"][0]["@type"].endswith("PermanentLockedAccount")
    other = plain_block()
    genesis.load(other, exported)
    assert other.state.changes() == block.state.changes()


def test_a_genesis_account_of_another_type_is_refused() -> None:
    with pytest.raises(ValueError, match="of the type '/x"):
        genesis.load(plain_block(), {"accounts": [{"@type": "/x.Account", "address": ALICE.address}]})


def test_a_gap_in_the_numbers_is_noticed() -> None:
    state = plain_block().state
    check_numbers(state)
    for each in (ALICE, BOB):
        ensure_account(state, each.address)
    check_numbers(state)
    put(state, Account(ALICE.address, 5))
    with pytest.raises(AssertionError, match=r"2 accounts, but the numbers \[5, 1\]"):
        check_numbers(state)
