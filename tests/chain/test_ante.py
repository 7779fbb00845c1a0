"""What a transaction must pass before its messages run, and what is left of one that does not."""

import cosmpy.protos  # noqa: F401
import pytest
from cosmos.bank.v1beta1.tx_pb2 import MsgSend
from cosmos.base.v1beta1.coin_pb2 import Coin
from cosmos.tx.v1beta1.tx_pb2 import AuthInfo, TxBody, TxRaw
from google.protobuf.message import Message

from pivot.chain.errors import SdkCode
from pivot.chain.modules.auth.state import NONCE_PREFIX, STORE
from pivot.chain.modules.bank.state import COMMUNITY_POOL
from pivot.chain.pagination import prefix_end
from pivot.primitives.keys import PrivateKey
from pivot.protocol.parameters import preset_params
from pivot.protocol.transactions import NANOSECONDS, sign_bytes
from tests.chain.chain import CHAIN_ID, Chain, events_of, key, lone_host

ALICE, BOB, CAROL = key("alice"), key("bob"), key("carol")


def send(source: PrivateKey, target: PrivateKey, amount: int = 1) -> MsgSend:
    return MsgSend(
        from_address=source.address, to_address=target.address, amount=[Coin(denom="ngonka", amount=str(amount))]
    )


@pytest.fixture
def chain() -> Chain:
    return Chain({ALICE.address: 1_000, CAROL.address: 1_000})


@pytest.fixture
def priced_chain() -> Chain:
    """A chain on which a unit of gas costs 1/100 ngonka."""
    params = preset_params("test")
    params.fee_params.minimum_gas_price_e18 = str(10**16)
    return Chain({ALICE.address: 1_000}, lone_host(params=params))


def nonces(chain: Chain) -> int:
    return len(list(chain.state.iterate(STORE, NONCE_PREFIX, prefix_end(NONCE_PREFIX))))


def without_key(raw: bytes, signer: PrivateKey, number: int) -> bytes:
    """The transaction without the signer's public key, signed again."""
    outer = TxRaw.FromString(raw)
    auth = AuthInfo.FromString(outer.auth_info_bytes)
    auth.signer_infos[0].ClearField("public_key")
    outer.auth_info_bytes = auth.SerializeToString()
    outer.signatures[0] = signer.sign(sign_bytes(outer.body_bytes, outer.auth_info_bytes, CHAIN_ID, number))
    return outer.SerializeToString()


def test_a_wrong_sequence_is_refused_with_the_expected_one(chain: Chain) -> None:
    result = chain.deliver(ALICE, send(ALICE, BOB), sequence=3)
    assert (result.codespace, result.code) == ("sdk", SdkCode.WRONG_SEQUENCE)
    assert result.log == "account sequence mismatch, expected 0, got 3: incorrect account sequence"
    assert chain.account(ALICE.address).sequence == 0
    assert chain.balance(BOB.address) == 0


def test_a_transaction_cannot_come_twice(chain: Chain) -> None:
    raw = chain.sign(ALICE, send(ALICE, BOB))
    assert [result.code for result in chain.block(raw, raw)] == [0, SdkCode.WRONG_SEQUENCE]
    assert chain.block(raw)[0].code == SdkCode.WRONG_SEQUENCE
    assert chain.balance(BOB.address) == 1


@pytest.mark.parametrize("option", [{"chain_id": "pivot-test-2"}, {"account_number": 9}])
def test_a_signature_for_another_chain_or_account_number_is_refused(chain: Chain, option: dict[str, object]) -> None:
    result = chain.deliver(ALICE, send(ALICE, BOB), **option)
    assert result.code == SdkCode.UNAUTHORIZED
    assert "account number (0), sequence (0) and chain-id (pivot-test-1)" in result.log
    assert chain.account(ALICE.address).sequence == 0


def test_a_changed_signature_is_refused(chain: Chain) -> None:
    outer = TxRaw.FromString(chain.sign(ALICE, send(ALICE, BOB)))
    for signature in (bytes(64), b"", outer.signatures[0][:63], outer.signatures[0][::-1]):
        outer.signatures[0] = signature
        assert chain.block(outer.SerializeToString())[0].code == SdkCode.UNAUTHORIZED


def test_another_account_cannot_sign_for_the_sender(chain: Chain) -> None:
    result = chain.deliver(BOB, send(ALICE, BOB))
    assert result.code == SdkCode.INVALID_PUBLIC_KEY
    assert "does not hash to the address" in result.log


def test_w2_a_key_that_is_not_the_addresss_never_gets_into_an_account(chain: Chain) -> None:
    chain.deliver(BOB, send(ALICE, BOB))
    assert chain.account(ALICE.address).public_key == b""
    assert chain.deliver(ALICE, send(ALICE, BOB)).code == 0
    assert chain.account(ALICE.address).public_key == ALICE.public_key


def test_the_key_is_taken_from_the_account_once_it_is_known(chain: Chain) -> None:
    bare = without_key(chain.sign(ALICE, send(ALICE, BOB)), ALICE, 0)
    assert "send it along" in chain.block(bare)[0].log
    chain.deliver(ALICE, send(ALICE, BOB))
    assert chain.block(without_key(chain.sign(ALICE, send(ALICE, BOB)), ALICE, 0))[0].code == 0


def test_an_account_that_does_not_exist_is_refused(chain: Chain) -> None:
    result = chain.deliver(BOB, send(BOB, ALICE))
    assert result.code == SdkCode.UNKNOWN_ADDRESS
    assert BOB.address in result.log


def test_messages_of_two_signers_need_both_signatures(chain: Chain) -> None:
    outer = TxRaw.FromString(chain.sign(ALICE, send(ALICE, BOB), send(CAROL, BOB)))
    assert chain.block(outer.SerializeToString())[0].code == SdkCode.UNAUTHORIZED
    auth = AuthInfo.FromString(outer.auth_info_bytes)
    other = AuthInfo.FromString(TxRaw.FromString(chain.sign(CAROL, send(CAROL, BOB))).auth_info_bytes)
    auth.signer_infos.append(other.signer_infos[0])
    outer.auth_info_bytes = auth.SerializeToString()
    outer.ClearField("signatures")
    for signer, number in ((ALICE, 0), (CAROL, 1)):
        outer.signatures.append(signer.sign(sign_bytes(outer.body_bytes, outer.auth_info_bytes, CHAIN_ID, number)))
    (result,) = chain.block(outer.SerializeToString())
    assert result.code == 0, result.log
    assert chain.balance(BOB.address) == 2
    assert (chain.account(ALICE.address).sequence, chain.account(CAROL.address).sequence) == (1, 1)


def test_an_unordered_transaction_counts_once_and_uses_no_sequence(chain: Chain) -> None:
    raw = chain.sign_unordered(ALICE, send(ALICE, BOB))
    assert [result.code for result in chain.block(raw, raw)] == [0, SdkCode.INVALID_REQUEST]
    assert "already used timeout" in chain.block(raw)[0].log
    assert (chain.balance(BOB.address), chain.account(ALICE.address).sequence) == (1, 0)
    assert chain.account(ALICE.address).public_key == ALICE.public_key


def test_unordered_transactions_with_other_timeouts_leave_the_account_as_it_is(chain: Chain) -> None:
    chain.block(chain.sign_unordered(ALICE, send(ALICE, BOB)))
    before = chain.account(ALICE.address)
    assert chain.block(chain.sign_unordered(ALICE, send(ALICE, BOB), seconds=61))[0].code == 0
    assert chain.account(ALICE.address) == before


def test_an_unordered_transaction_is_remembered_until_its_timeout_and_refused_after_it(chain: Chain) -> None:
    raw = chain.sign_unordered(ALICE, send(ALICE, BOB), seconds=2)
    chain.block(raw)
    assert nonces(chain) == 1
    chain.time += 2 * NANOSECONDS
    (result,) = chain.block(raw)
    assert (result.code, nonces(chain)) == (SdkCode.TX_TIMEOUT_HEIGHT, 0)
    assert chain.balance(BOB.address) == 1


def test_an_unordered_transaction_lives_ten_minutes_at_most(chain: Chain) -> None:
    soon = chain.sign_unordered(ALICE, send(ALICE, BOB), seconds=600)
    late = chain.sign_unordered(ALICE, send(ALICE, BOB), seconds=601)
    assert [result.code for result in chain.block(soon, late)] == [0, SdkCode.INVALID_REQUEST]


def test_an_ordered_transaction_may_have_timeouts(chain: Chain) -> None:
    def signed(height: int = 0, seconds: int = 0) -> bytes:
        outer = TxRaw.FromString(chain.sign(ALICE, send(ALICE, BOB)))
        body = TxBody.FromString(outer.body_bytes)
        body.timeout_height = height
        if seconds:
            body.timeout_timestamp.seconds = seconds
        outer.body_bytes = body.SerializeToString()
        outer.signatures[0] = ALICE.sign(sign_bytes(outer.body_bytes, outer.auth_info_bytes, CHAIN_ID, 0))
        return outer.SerializeToString()

    assert chain.block(signed(height=chain.height))[0].code == SdkCode.TX_TIMEOUT_HEIGHT
    assert chain.block(signed(height=chain.height + 1))[0].code == 0
    now = chain.time // NANOSECONDS
    assert chain.block(signed(seconds=now))[0].code == SdkCode.TX_TIMEOUT_HEIGHT
    assert chain.block(signed(seconds=now + 60))[0].code == 0


def test_more_gas_than_the_limit_is_refused(chain: Chain) -> None:
    result = chain.deliver(ALICE, send(ALICE, BOB), gas_limit=20_000)
    assert result.code == SdkCode.OUT_OF_GAS
    assert chain.account(ALICE.address).sequence == 0
    accepted = chain.deliver(ALICE, send(ALICE, BOB), gas_limit=10**9)
    assert (accepted.code, accepted.gas_wanted) == (0, 10**9)
    assert 20_000 < accepted.gas_used < 30_000


def test_a_gas_limit_beyond_what_the_engine_can_hold_is_told_as_its_largest(chain: Chain) -> None:
    assert chain.deliver(ALICE, send(ALICE, BOB), gas_limit=2**64 - 1).gas_wanted == 2**63 - 1


def test_less_than_the_price_of_the_gas_is_refused(priced_chain: Chain) -> None:
    result = priced_chain.deliver(ALICE, send(ALICE, BOB), fee=100)
    assert result.code == SdkCode.INSUFFICIENT_FEE
    assert "required:" in result.log
    assert priced_chain.balance(ALICE.address) == 1_000


def test_the_fee_goes_to_the_community_pool(priced_chain: Chain) -> None:
    result = priced_chain.deliver(ALICE, send(ALICE, BOB), fee=300)
    assert result.code == 0, result.log
    assert priced_chain.balance(COMMUNITY_POOL) == 300
    assert priced_chain.balance(ALICE.address) == 699
    assert events_of(result, "tx")[0] == {"fee": "300ngonka", "fee_payer": ALICE.address}
    assert events_of(result, "transfer")[0]["recipient"] == COMMUNITY_POOL


def test_a_failing_message_keeps_the_fee_and_the_sequence_and_nothing_else(priced_chain: Chain) -> None:
    messages: list[Message] = [send(ALICE, BOB, 10), send(ALICE, BOB, 5_000)]
    result = priced_chain.deliver(ALICE, *messages, fee=600)
    assert (result.code, result.data) == (SdkCode.INSUFFICIENT_FUNDS, b"")
    assert "message index: 1" in result.log
    assert priced_chain.balance(ALICE.address) == 400
    assert priced_chain.balance(BOB.address) == 0
    assert priced_chain.account(BOB.address) is None
    assert priced_chain.account(ALICE.address).sequence == 1
    assert [event["amount"] for event in events_of(result, "transfer")] == ["600ngonka"]


def test_a_fee_that_nobody_can_pay_leaves_no_trace(priced_chain: Chain) -> None:
    result = priced_chain.deliver(ALICE, send(ALICE, BOB), fee=1_001)
    assert result.code == SdkCode.INSUFFICIENT_FUNDS
    assert priced_chain.account(ALICE.address).sequence == 0
    assert priced_chain.account(ALICE.address).public_key == b""
    assert len(result.events) == 0


def test_events_say_whose_sequence_and_which_signature(chain: Chain) -> None:
    result = chain.deliver(ALICE, send(ALICE, BOB))
    sequence, signature = events_of(result, "tx")[1:]
    assert sequence == {"acc_seq": f"{ALICE.address}/0"}
    assert len(signature["signature"]) == 88


def test_the_same_block_gives_the_same_app_hash_whatever_was_checked_before() -> None:
    checked, unchecked = Chain({ALICE.address: 10}), Chain({ALICE.address: 10})
    raw = checked.sign(ALICE, send(ALICE, BOB))
    assert checked.check(raw).code == 0
    checked.block(raw)
    unchecked.block(raw)
    assert checked.store.app_hash == unchecked.store.app_hash
