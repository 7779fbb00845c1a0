"""Signatures in amino JSON, and accounts of several keys, from a published wallet and from here."""

from collections.abc import Iterator
from typing import Any

import cosmpy.protos  # noqa: F401
import pytest
from cosmos.bank.v1beta1.tx_pb2 import MsgSend
from cosmos.base.v1beta1.coin_pb2 import Coin
from cosmos.crypto.multisig.keys_pb2 import LegacyAminoPubKey
from cosmos.crypto.multisig.v1beta1.multisig_pb2 import CompactBitArray, MultiSignature
from cosmos.crypto.secp256k1.keys_pb2 import PubKey
from cosmos.tx.signing.v1beta1.signing_pb2 import SignMode
from cosmos.tx.v1beta1.tx_pb2 import AuthInfo, ModeInfo, SignerInfo, TxBody, TxRaw
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from tendermint.abci import types_pb2 as abci

from pivot.chain.errors import SdkCode
from pivot.chain.registry import MESSAGES
from pivot.primitives.keys import PrivateKey
from pivot.protocol import amino_json as amino_json_rules
from pivot.protocol.amino_json import amino_json, amino_sign_bytes
from pivot.protocol.messages import pack
from pivot.protocol.multisig import address_of_multisig, combine, threshold_key
from tests.chain.chain import CHAIN_ID, Chain, key
from tests.vectors import load_vectors

PUBLISHED = load_vectors("amino_json.json")
BANK = [each for each in PUBLISHED["transactions"] if all(".bank." in name for name in each["messages"])]
KEYS = [key("alice"), key("bob"), key("carol")]
SHARED = threshold_key([each.public_key for each in KEYS], 2)
ADDRESS = address_of_multisig(SHARED)


@pytest.fixture
def chain() -> Chain:
    return Chain({ADDRESS: 1_000, KEYS[0].address: 1_000})


def send(source: str, amount: int = 5) -> MsgSend:
    return MsgSend(
        from_address=source, to_address=key("dora").address, amount=[Coin(denom="ngonka", amount=str(amount))]
    )


def shared(
    signing: tuple[PrivateKey, ...] = (KEYS[0], KEYS[2]),
    sequence: int = 0,
    public_key: LegacyAminoPubKey | None = SHARED,
) -> TxRaw:
    """A send of the shared account, signed by these; without its key if there is none."""
    body = TxBody(messages=[pack(send(ADDRESS))]).SerializeToString()
    signed = amino_sign_bytes(body, b"", CHAIN_ID, 0, sequence)
    mode, joined = combine(
        threshold_key([each.public_key for each in KEYS], 1), {k.public_key: k.sign(signed) for k in signing}
    )
    info = SignerInfo(public_key=pack(public_key) if public_key else None, mode_info=mode, sequence=sequence)
    return TxRaw(
        body_bytes=body, auth_info_bytes=AuthInfo(signer_infos=[info]).SerializeToString(), signatures=[joined]
    )


def with_info(raw: TxRaw, change: Any) -> bytes:
    """The transaction after something was changed in what it says of its signer."""
    auth = AuthInfo.FromString(raw.auth_info_bytes)
    change(auth.signer_infos[0])
    raw.auth_info_bytes = auth.SerializeToString()
    return raw.SerializeToString()


def in_amino(sequence: int = 0, **body: Any) -> TxRaw:
    """A send of Alice's, signed in amino JSON; `body` is set after she has signed."""
    content = TxBody(messages=[pack(send(KEYS[0].address))])
    signature = KEYS[0].sign(amino_sign_bytes(content.SerializeToString(), b"", CHAIN_ID, 1, sequence))
    content.MergeFrom(TxBody(**body))
    mode = ModeInfo(single=ModeInfo.Single(mode=SignMode.SIGN_MODE_LEGACY_AMINO_JSON))
    info = SignerInfo(public_key=pack(PubKey(key=KEYS[0].public_key)), mode_info=mode, sequence=sequence)
    return TxRaw(
        body_bytes=content.SerializeToString(),
        auth_info_bytes=AuthInfo(signer_infos=[info]).SerializeToString(),
        signatures=[signature],
    )


def test_transactions_of_a_published_wallet_run() -> None:
    chain = Chain({PUBLISHED["single"]: 1_000, PUBLISHED["multisig"]: 1_000})
    for vector in BANK:
        result = chain.block(bytes.fromhex(vector["tx_raw_hex"]))[0]
        assert (result.code, result.log) == (0, "")
    of_one, of_two = (chain.account(PUBLISHED[name]) for name in ("single", "multisig"))
    assert (of_one.sequence, of_two.sequence) == (3, 3)
    assert of_one.public_key
    assert LegacyAminoPubKey.FromString(of_two.multisig).threshold == 2


def test_enough_members_sign_and_the_key_is_remembered(chain: Chain) -> None:
    assert chain.block(shared().SerializeToString())[0].code == 0
    again = shared((KEYS[1], KEYS[2]), 1, None)
    result = chain.block(again.SerializeToString())[0]
    assert (result.code, result.log) == (0, "")
    assert chain.balance(ADDRESS) == 990


def test_every_signature_costs_gas(chain: Chain) -> None:
    two, three = shared().SerializeToString(), shared(tuple(KEYS)).SerializeToString()
    gas = [result.gas_used for result in (chain.block(two)[0], chain.block(three)[0])]
    assert [gas[0] - 10 * len(two), gas[1] - 10 * len(three)] == [22_000, 23_000]


def test_too_few_members_are_refused(chain: Chain) -> None:
    result = chain.block(shared((KEYS[0],)).SerializeToString())[0]
    assert (result.code, "2 members must sign" in result.log) == (SdkCode.UNAUTHORIZED, True)
    assert chain.account(ADDRESS).multisig == b""


def test_one_bad_signature_among_enough_good_ones_is_refused(chain: Chain) -> None:
    raw = shared(tuple(KEYS))
    joined = MultiSignature.FromString(raw.signatures[0])
    joined.signatures[1] = joined.signatures[0]
    raw.signatures[0] = joined.SerializeToString()
    result = chain.block(raw.SerializeToString())[0]
    assert (result.code, "signature verification failed" in result.log) == (SdkCode.UNAUTHORIZED, True)


def test_a_member_who_signs_twice_counts_once(chain: Chain) -> None:
    raw = shared((KEYS[0],))
    joined = MultiSignature.FromString(raw.signatures[0])
    joined.signatures.append(joined.signatures[0])
    raw.signatures[0] = joined.SerializeToString()
    assert "holds 2 signatures" in chain.block(raw.SerializeToString())[0].log


def test_the_key_must_hash_to_the_address(chain: Chain) -> None:
    other = threshold_key([each.public_key for each in KEYS], 1)
    result = chain.block(shared((KEYS[0],), public_key=other).SerializeToString())[0]
    assert (result.code, "does not hash" in result.log) == (SdkCode.INVALID_PUBLIC_KEY, True)
    senseless = LegacyAminoPubKey(threshold=4, public_keys=SHARED.public_keys)
    assert "not 4 of 3" in chain.block(shared(public_key=senseless).SerializeToString())[0].log


def test_a_key_is_needed_the_first_time_and_must_be_of_the_accounts_kind(chain: Chain) -> None:
    assert "send it along" in chain.block(shared(public_key=None).SerializeToString())[0].log
    chain.block(shared().SerializeToString())

    def alone(info: SignerInfo) -> None:
        info.mode_info.single.mode = SignMode.SIGN_MODE_DIRECT

    raw = with_info(shared(sequence=1, public_key=None), alone)
    assert "several keys, which make a multisignature" in chain.block(raw)[0].log
    chain.block(in_amino().SerializeToString())
    raw = shared(public_key=None)
    body = TxBody(messages=[pack(send(KEYS[0].address))])
    raw.body_bytes = body.SerializeToString()
    assert (
        "one key, which makes one signature" in chain.block(with_info(raw, lambda i: setattr(i, "sequence", 1)))[0].log
    )


def test_bits_of_another_number_of_members_are_refused(chain: Chain) -> None:
    def longer(info: SignerInfo) -> None:
        info.mode_info.multi.bitarray.CopyFrom(CompactBitArray(extra_bits_stored=4, elems=b"\xa0"))

    assert "bits of 4 members, there are 3" in chain.block(with_info(shared(), longer))[0].log


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda info: info.mode_info.multi.mode_infos.pop(), "2 members sign in the bit array, but there are 1 modes"),
        (lambda info: info.mode_info.multi.bitarray.Clear(), "0 members sign"),
        (lambda info: setattr(info.mode_info.multi.bitarray, "extra_bits_stored", 9), "bits of at most 7"),
        (lambda info: setattr(info.mode_info.multi.mode_infos[0].single, "mode", 1), "SIGN_MODE_LEGACY_AMINO_JSON"),
        (lambda info: info.mode_info.multi.mode_infos[0].multi.SetInParent(), "SIGN_MODE_LEGACY_AMINO_JSON"),
        (lambda info: setattr(info.mode_info.single, "mode", 127), "several keys make a multisignature"),
        (
            lambda info: info.public_key.CopyFrom(pack(PubKey(key=KEYS[0].public_key))),
            "one key makes no multisignature",
        ),
        (lambda info: info.public_key.CopyFrom(pack(send(ADDRESS))), "accounts have"),
    ],
)
def test_a_multisignature_that_is_wrong_in_itself_is_refused(chain: Chain, change: Any, sentence: str) -> None:
    result = chain.block(with_info(shared(), change))[0]
    assert result.code > 0
    assert sentence in result.log


def test_members_of_all_signers_are_seven_at_most(chain: Chain) -> None:
    others = [threshold_key([key(f"{name}{i}").public_key for i in range(4)], 1) for name in ("a", "b")]
    infos = []
    for other in others:
        mode, _ = combine(other, {key("a0" if other is others[0] else "b0").public_key: b""})
        infos.append(SignerInfo(public_key=pack(other), mode_info=mode))
    body = TxBody(messages=[pack(send(address_of_multisig(other))) for other in others])
    empty = MultiSignature(signatures=[b""]).SerializeToString()
    raw = TxRaw(
        body_bytes=body.SerializeToString(),
        auth_info_bytes=AuthInfo(signer_infos=infos).SerializeToString(),
        signatures=[empty, empty],
    )
    assert "more than 7 keys" in chain.block(raw.SerializeToString())[0].log


def test_a_shared_account_is_simulated_without_signatures(chain: Chain) -> None:
    def bare(info: SignerInfo) -> None:
        info.ClearField("mode_info")

    def unknown(info: SignerInfo) -> None:
        info.ClearField("public_key")

    for raw in (shared().SerializeToString(), with_info(shared(), bare), with_info(shared(), unknown)):
        without = TxRaw.FromString(raw)
        without.ClearField("signatures")
        request = abci.RequestQuery(
            path="/cosmos.tx.v1beta1.Service/Simulate", data=b"\x12" + _measured(without.SerializeToString())
        )
        answer = chain.application.query(request)
        assert answer.code == 0, answer.log


def _measured(raw: bytes) -> bytes:
    return bytes([len(raw) & 127 | 128, len(raw) >> 7]) + raw


def test_a_signature_in_amino_json_is_taken_and_one_for_another_sequence_is_not(chain: Chain) -> None:
    assert chain.block(in_amino().SerializeToString())[0].code == 0
    wrong = with_info(in_amino(7), lambda info: setattr(info, "sequence", 1))
    assert "signature verification failed" in chain.block(wrong)[0].log


def test_what_amino_json_does_not_cover_cannot_be_added_to_run_a_transaction_again(chain: Chain) -> None:
    assert chain.block(in_amino().SerializeToString())[0].code == 0
    later = chain.time // 10**9 + 60
    again = in_amino(unordered=True, timeout_timestamp={"seconds": later})
    for raw in (again, in_amino(1, timeout_timestamp={"seconds": later})):
        result = chain.block(raw.SerializeToString())[0]
        assert (result.code, "need SIGN_MODE_DIRECT" in result.log) == (SdkCode.UNAUTHORIZED, True)
    assert chain.balance(KEYS[0].address) == 995


def fields_of(descriptor: Descriptor, seen: set[str]) -> Iterator[FieldDescriptor]:
    """The fields of a message and of all messages in it."""
    if descriptor.full_name in seen:
        return
    seen.add(descriptor.full_name)
    for field in descriptor.fields:
        yield field
        if field.message_type is not None:
            yield from fields_of(field.message_type, seen)


@pytest.mark.parametrize("url", sorted(MESSAGES.all()))
def test_every_message_can_be_signed_in_amino_json(url: str) -> None:
    handler = MESSAGES.find(url)
    assert handler is not None
    assert amino_json(pack(handler.type()))["type"]
    for field in fields_of(handler.type.DESCRIPTOR, set()):
        assert amino_json_rules._rule(field)
