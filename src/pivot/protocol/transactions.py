"""Cosmos SDK transactions in SIGN_MODE_DIRECT: built and signed here, read and checked by `chain/ante.py`."""

from collections.abc import Sequence

from cosmos.base.v1beta1.coin_pb2 import Coin
from cosmos.crypto.secp256k1.keys_pb2 import PubKey
from cosmos.tx.signing.v1beta1.signing_pb2 import SignMode
from cosmos.tx.v1beta1.tx_pb2 import AuthInfo, Fee, ModeInfo, SignDoc, SignerInfo, TxBody, TxRaw
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from pivot.primitives.coins import BASE_DENOM
from pivot.primitives.hashes import sha256
from pivot.primitives.keys import PrivateKey
from pivot.protocol.messages import pack

NANOSECONDS = 10**9
MAX_UNORDERED_LIFETIME_NS = 600 * NANOSECONDS
"""Furthest that an unordered transaction's time-out may lie in the future."""


def sign_bytes(body: bytes, auth_info: bytes, chain_id: str, account_number: int) -> bytes:
    """What a signer of a transaction signs (SIGN_MODE_DIRECT)."""
    document = SignDoc(body_bytes=body, auth_info_bytes=auth_info, chain_id=chain_id, account_number=account_number)
    return bytes(document.SerializeToString(deterministic=True))


def ordered(
    key: PrivateKey,
    messages: Sequence[Message],
    *,
    chain_id: str,
    account_number: int,
    sequence: int,
    gas_limit: int = 0,
    fee: int = 0,
    fee_granter: str = "",
    memo: str = "",
) -> bytes:
    """A signed transaction that takes its place by the account's sequence. `fee` in ngonka, paid by the granter if one is named."""
    body = TxBody(messages=[pack(message) for message in messages], memo=memo)
    return _signed(key, body, chain_id, account_number, sequence, _fee(fee, gas_limit, fee_granter))


def unordered(
    key: PrivateKey,
    messages: Sequence[Message],
    *,
    chain_id: str,
    account_number: int,
    timeout_ns: int,
    gas_limit: int = 0,
    fee: int = 0,
    fee_granter: str = "",
) -> bytes:
    """A signed transaction without a sequence, valid once until `timeout_ns` (Unix, nanoseconds), which also makes it unique."""
    body = TxBody(
        messages=[pack(message) for message in messages],
        unordered=True,
        timeout_timestamp=timestamp(timeout_ns),
    )
    return _signed(key, body, chain_id, account_number, 0, _fee(fee, gas_limit, fee_granter))


def timestamp(time_ns: int) -> Timestamp:
    """Unix nanoseconds as a protobuf time."""
    return Timestamp(seconds=time_ns // NANOSECONDS, nanos=time_ns % NANOSECONDS)


def nanoseconds(time: Timestamp) -> int:
    """A protobuf time as Unix nanoseconds."""
    return time.seconds * NANOSECONDS + time.nanos


def transaction_hash(raw: bytes) -> str:
    """The name of a transaction: upper-case hex of SHA-256."""
    return sha256(raw).hex().upper()


def _fee(amount: int, gas_limit: int, granter: str) -> Fee:
    coins = [Coin(denom=BASE_DENOM, amount=str(amount))] if amount else []
    return Fee(amount=coins, gas_limit=gas_limit, granter=granter)


def _signed(key: PrivateKey, body: TxBody, chain_id: str, account_number: int, sequence: int, fee: Fee) -> bytes:
    info = SignerInfo(
        public_key=pack(PubKey(key=key.public_key)),
        mode_info=ModeInfo(single=ModeInfo.Single(mode=SignMode.SIGN_MODE_DIRECT)),
        sequence=sequence,
    )
    body_bytes = bytes(body.SerializeToString(deterministic=True))
    auth_bytes = bytes(AuthInfo(signer_infos=[info], fee=fee).SerializeToString(deterministic=True))
    signature = key.sign(sign_bytes(body_bytes, auth_bytes, chain_id, account_number))
    return bytes(TxRaw(body_bytes=body_bytes, auth_info_bytes=auth_bytes, signatures=[signature]).SerializeToString())
