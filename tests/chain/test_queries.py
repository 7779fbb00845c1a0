"""What the engine's clients ask the application."""

import cosmpy.protos  # noqa: F401
import pytest
from cosmos.auth.v1beta1.query_pb2 import QueryAccountRequest, QueryAccountResponse
from cosmos.bank.v1beta1.tx_pb2 import MsgSend
from cosmos.base.v1beta1.coin_pb2 import Coin
from cosmos.ics23.v1.proofs_pb2 import CommitmentProof
from cosmos.tx.v1beta1.service_pb2 import SimulateRequest, SimulateResponse
from cosmos.tx.v1beta1.tx_pb2 import AuthInfo, Tx, TxBody, TxRaw
from tendermint.abci.types_pb2 import RequestQuery, ResponseQuery

from pivot.chain.errors import SdkCode
from pivot.chain.modules.bank.state import balance_key
from tests.chain.chain import Chain, events_of, key

ALICE, BOB = key("alice"), key("bob")
SIMULATE = "/cosmos.tx.v1beta1.Service/Simulate"


@pytest.fixture
def chain() -> Chain:
    return Chain({ALICE.address: 1_000})


def ask(chain: Chain, path: str, data: bytes = b"", **options: object) -> ResponseQuery:
    return chain.application.query(RequestQuery(path=path, data=data, **options))


def send(amount: int) -> MsgSend:
    return MsgSend(
        from_address=ALICE.address, to_address=BOB.address, amount=[Coin(denom="ngonka", amount=str(amount))]
    )


def bare(raw: bytes) -> bytes:
    """The transaction as wallets have it simulated: without signing mode, signature and fee."""
    outer = TxRaw.FromString(raw)
    auth = AuthInfo.FromString(outer.auth_info_bytes)
    auth.signer_infos[0].mode_info.single.mode = 0
    auth.fee.Clear()
    outer.auth_info_bytes = auth.SerializeToString()
    outer.signatures[0] = b""
    return outer.SerializeToString()


@pytest.mark.parametrize("path", ["/store/bank/key", "store/bank/key"])
def test_a_row_comes_with_its_proof(chain: Chain, path: str) -> None:
    answer = ask(chain, path, balance_key(ALICE.address), prove=True)
    assert (answer.code, answer.value, answer.height) == (0, b"1000", chain.height)
    assert [op.type for op in answer.proof_ops.ops] == ["ics23:iavl", "ics23:simple"]
    proof = CommitmentProof.FromString(answer.proof_ops.ops[0].data)
    assert (proof.exist.key, proof.exist.value) == (balance_key(ALICE.address), b"1000")


def test_the_absence_of_a_row_is_proved_too(chain: Chain) -> None:
    answer = ask(chain, "/store/bank/key", balance_key(BOB.address), prove=True)
    assert (answer.code, answer.value) == (0, b"")
    assert CommitmentProof.FromString(answer.proof_ops.ops[0].data).HasField("nonexist")


def test_a_row_comes_without_a_proof_if_none_is_asked_for(chain: Chain) -> None:
    answer = ask(chain, "/store/bank/key", balance_key(ALICE.address), height=chain.height)
    assert (answer.value, len(answer.proof_ops.ops)) == (b"1000", 0)


@pytest.mark.parametrize(
    ("path", "data", "code"),
    [
        ("/store/moon/key", b"x", SdkCode.UNKNOWN_REQUEST),
        ("/store/bank/key", b"", SdkCode.INVALID_REQUEST),
        ("/store/bank/subspace", b"x", SdkCode.UNKNOWN_REQUEST),
        ("/cosmos.bank.v1beta1.Query/Nothing", b"", SdkCode.UNKNOWN_REQUEST),
        ("", b"", SdkCode.UNKNOWN_REQUEST),
        ("/cosmos.bank.v1beta1.Query/Balance", b"\xff", SdkCode.TX_DECODE),
        ("/cosmos.bank.v1beta1.Query/Balance", b"", SdkCode.INVALID_ADDRESS),
        (SIMULATE, SimulateRequest(tx_bytes=b"nonsense").SerializeToString(), SdkCode.TX_DECODE),
    ],
)
def test_what_cannot_be_answered_is_refused(chain: Chain, path: str, data: bytes, code: SdkCode) -> None:
    answer = ask(chain, path, data)
    assert (answer.code, answer.codespace) == (code, "sdk")
    assert answer.log


@pytest.mark.parametrize("path", ["/store/bank/key", "/cosmos.auth.v1beta1.Query/Account"])
@pytest.mark.parametrize("prove", [True, False])
def test_a_height_that_is_not_kept_is_refused(chain: Chain, path: str, prove: bool) -> None:
    request = QueryAccountRequest(address=ALICE.address).SerializeToString()
    answer = ask(chain, path, request, height=chain.height + 1, prove=prove)
    assert answer.code == SdkCode.INVALID_REQUEST
    assert "is not kept" in answer.log


def test_a_line_of_the_query_table_is_answered(chain: Chain) -> None:
    request = QueryAccountRequest(address=ALICE.address).SerializeToString()
    answer = ask(chain, "/cosmos.auth.v1beta1.Query/Account", request)
    assert answer.height == chain.height
    assert QueryAccountResponse.FromString(answer.value).account.type_url == "/cosmos.auth.v1beta1.BaseAccount"


def test_the_version_is_told(chain: Chain) -> None:
    assert ask(chain, "/app/version").value


def test_a_simulation_tells_gas_events_and_responses_and_leaves_nothing(chain: Chain) -> None:
    raw = bare(chain.sign(ALICE, send(5)))
    answer = ask(chain, SIMULATE, SimulateRequest(tx_bytes=raw).SerializeToString())
    assert answer.code == 0, answer.log
    simulated = SimulateResponse.FromString(answer.value)
    assert simulated.gas_info.gas_used == 10 * len(raw) + 1_000 + 20_000
    assert events_of(simulated.result, "transfer") == [
        {"recipient": BOB.address, "sender": ALICE.address, "amount": "5ngonka", "msg_index": "0"}
    ]
    assert [each.type_url for each in simulated.result.msg_responses] == ["/cosmos.bank.v1beta1.MsgSendResponse"]
    assert chain.balance(BOB.address) == 0
    assert chain.check(chain.sign(ALICE, send(5))).code == 0


def test_a_simulation_refuses_what_a_block_would_refuse(chain: Chain) -> None:
    wrong = (chain.sign(ALICE, send(5_000)), chain.sign(ALICE, send(5), ahead=1))
    requests = [SimulateRequest(tx_bytes=bare(raw)).SerializeToString() for raw in wrong]
    codes = [ask(chain, SIMULATE, request).code for request in requests]
    assert codes == [SdkCode.INSUFFICIENT_FUNDS, SdkCode.WRONG_SEQUENCE]


def test_a_simulated_transaction_may_come_in_parts(chain: Chain) -> None:
    raw = bare(chain.sign(ALICE, send(5)))
    outer = TxRaw.FromString(raw)
    parts = Tx(
        body=TxBody.FromString(outer.body_bytes),
        auth_info=AuthInfo.FromString(outer.auth_info_bytes),
        signatures=outer.signatures,
    )
    whole = ask(chain, SIMULATE, SimulateRequest(tx_bytes=raw).SerializeToString())
    assert ask(chain, SIMULATE, SimulateRequest(tx=parts).SerializeToString()) == whole
    assert whole.code == 0
