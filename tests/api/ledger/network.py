"""A chain for the outbox's tests: a mempool, blocks when the test says so, and verdicts that the test decides on."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from cosmos.base.abci.v1beta1.abci_pb2 import TxMsgData
from cosmos.tx.v1beta1.tx_pb2 import AuthInfo, TxBody, TxRaw
from google.protobuf.message import Message

from pivot.api.ledger.interface import ChainUnavailable, Head
from pivot.api.ledger.rpc import Inclusion, Verdict
from pivot.api.phases import Moment
from pivot.primitives.keys import PrivateKey, verify
from pivot.protocol.epochs import Phase
from pivot.protocol.generated.inference.inference.params_pb2 import FeeParams, Params
from pivot.protocol.generated.inference.inference.tx_pb2 import (
    ItemResult,
    MsgClaimRewardsResponse,
    MsgFinishInference,
    MsgRecordInferences,
    MsgRecordInferencesResponse,
    MsgStartInference,
)
from pivot.protocol.generated.inference.inference.types_pb2 import Epoch
from pivot.protocol.messages import pack, type_url
from pivot.protocol.transactions import NANOSECONDS, sign_bytes, transaction_hash

CHAIN_ID = "pivot-test"
ACCOUNT_NUMBER = 7
START_NS = 1_800_000_000 * NANOSECONDS
BLOCK_NS = 5 * NANOSECONDS

Item = MsgStartInference | MsgFinishInference


@dataclass
class FakeNetwork:
    """What `check` and `item` return decides on transactions and items; by default everything is good."""

    key: PrivateKey
    height: int = 1
    time_ns: int = START_NS
    away: bool = False
    account_exists: bool = True
    losing: bool = False
    """The mempool takes transactions and loses them."""
    check: Callable[[TxBody], Verdict] = lambda _: Verdict(0)
    deliver: Callable[[TxBody], Verdict] = lambda _: Verdict(0)
    item: Callable[[Item], tuple[int, str]] = lambda _: (0, "")
    gas_price_e18: int = 0
    broadcasts: list[bytes] = field(default_factory=list)
    mempool: list[bytes] = field(default_factory=list)
    included: dict[str, Inclusion] = field(default_factory=dict)
    nonces: set[int] = field(default_factory=set)
    items: list[str] = field(default_factory=list)
    account_questions: int = 0

    # What the outbox asks.

    @property
    def chain_id(self) -> str:
        return CHAIN_ID

    async def params(self) -> Params:
        return Params(fee_params=FeeParams(minimum_gas_price_e18=str(self.gas_price_e18)))

    async def account_number(self, address: str) -> int | None:
        self._require_there()
        assert address == self.key.address
        self.account_questions += 1
        return ACCOUNT_NUMBER if self.account_exists else None

    async def broadcast(self, raw: bytes) -> Verdict:
        self._require_there()
        self.broadcasts.append(raw)
        if raw in self.mempool:
            return Verdict(0)
        body = self._checked(raw)
        if timeout_of(body) in self.nonces:
            return Verdict(18, "sdk", f"already used timeout {timeout_of(body)} for address {self.key.address}")
        verdict = self.check(body)
        if verdict.code == 0 and not self.losing:
            self.nonces.add(timeout_of(body))
            self.mempool.append(raw)
        return verdict

    async def transaction(self, transaction_hash: str) -> Inclusion | None:
        self._require_there()
        return self.included.get(transaction_hash)

    # What the test does.

    def make_block(self) -> Moment:
        """All of the mempool into one block."""
        self.height += 1
        self.time_ns += BLOCK_NS
        for raw in self.mempool:
            self.included[transaction_hash(raw)] = self._execute(raw)
        self.mempool.clear()
        return self.moment

    @property
    def moment(self) -> Moment:
        head = Head(self.height, self.time_ns, b"h" * 32)
        return Moment(head, Epoch(), Epoch(), Phase.INFERENCE, 10, synced=True)

    def bodies(self) -> list[TxBody]:
        """Of every transaction that was broadcast."""
        return [TxBody.FromString(TxRaw.FromString(raw).body_bytes) for raw in self.broadcasts]

    def _require_there(self) -> None:
        if self.away:
            raise ChainUnavailable("nobody answers")

    def _checked(self, raw: bytes) -> TxBody:
        outer = TxRaw.FromString(raw)
        message = sign_bytes(outer.body_bytes, outer.auth_info_bytes, CHAIN_ID, ACCOUNT_NUMBER)
        assert verify(self.key.public_key, message, outer.signatures[0])
        body = TxBody.FromString(outer.body_bytes)
        assert body.unordered
        assert 0 < timeout_of(body) - self.time_ns <= 600 * NANOSECONDS
        return body

    def _execute(self, raw: bytes) -> Inclusion:
        body = TxBody.FromString(TxRaw.FromString(raw).body_bytes)
        verdict = self.deliver(body)
        if verdict.code:
            return Inclusion(self.height, verdict, b"")
        answers = [self._answer(packed.type_url, packed.value) for packed in body.messages]
        data = TxMsgData(msg_responses=[pack(answer) for answer in answers])
        return Inclusion(self.height, verdict, data.SerializeToString())

    def _answer(self, url: str, value: bytes) -> Message:
        if url != type_url(MsgRecordInferences):
            return MsgClaimRewardsResponse()
        batch = MsgRecordInferences.FromString(value)
        return MsgRecordInferencesResponse(
            starts=[self._result("start", item) for item in batch.starts],
            finishes=[self._result("finish", item) for item in batch.finishes],
        )

    def _result(self, kind: str, item: Item) -> ItemResult:
        self.items.append(f"{kind}:{item.inference_id}")
        code, log = self.item(item)
        return ItemResult(inference_id=item.inference_id, code=code, log=log)


def timeout_of(body: TxBody) -> int:
    return body.timeout_timestamp.seconds * NANOSECONDS + body.timeout_timestamp.nanos


def batches(bodies: Sequence[TxBody]) -> list[MsgRecordInferences]:
    return [
        MsgRecordInferences.FromString(packed.value)
        for body in bodies
        for packed in body.messages
        if packed.type_url == type_url(MsgRecordInferences)
    ]


def fee_of(raw: bytes) -> int:
    coins = AuthInfo.FromString(TxRaw.FromString(raw).auth_info_bytes).fee.amount
    return sum(int(coin.amount) for coin in coins)
