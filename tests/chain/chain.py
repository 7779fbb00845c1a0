"""A small chain in one process: the whole application without an engine, and blocks for tests of single modules."""

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import cosmpy.protos  # noqa: F401
from google.protobuf import json_format
from google.protobuf.message import Message
from tendermint.abci import types_pb2 as abci
from tendermint.types.params_pb2 import BlockParams, ConsensusParams

from pivot.chain.application import Application
from pivot.chain.errors import Rejection
from pivot.chain.invariants import INVARIANTS
from pivot.chain.modules.auth.state import Account, account
from pivot.chain.modules.bank.state import balance, put_genesis_balance, put_genesis_supply, supply
from pivot.chain.modules.params.state import name_chain, set_params
from pivot.chain.registry import MESSAGES, QUERIES
from pivot.chain.store.interface import Snapshot, Store
from pivot.chain.store.memory import MemoryDatabase
from pivot.chain.transaction import decode_transaction
from pivot.chain.types import STORES, Block
from pivot.primitives.coins import BASE_DENOM
from pivot.primitives.keys import PrivateKey
from pivot.protocol.generated.inference.inference.genesis_pb2 import GenesisParticipant, GenesisState
from pivot.protocol.generated.inference.inference.params_pb2 import Params
from pivot.protocol.generated.inference.inference.types_pb2 import Participant, ParticipantStatus
from pivot.protocol.parameters import preset_params
from pivot.protocol.transactions import NANOSECONDS, ordered, timestamp, unordered

CHAIN_ID = "pivot-test-1"
GENESIS_TIME = 1_700_000_000 * NANOSECONDS
BLOCK_INTERVAL = 200_000_000
GENESIS_HASH = bytes(range(32))
LONE_KEY = hashlib.sha256(b"consensus host").digest()


def key(name: str) -> PrivateKey:
    """The account key of a character in a test."""
    return PrivateKey(hashlib.sha256(name.encode()).digest())


def consensus_key(name: str) -> bytes:
    """32 bytes that stand for the consensus key of a character."""
    return hashlib.sha256(b"consensus " + name.encode()).digest()


def plain_block(
    *,
    height: int = 1,
    time: int = GENESIS_TIME,
    balances: Mapping[str, int] | None = None,
    params: Params | None = None,
) -> Block:
    """A block over an empty state with parameters (preset `test` unless given) and balances, for one module's tests."""
    state = MemoryDatabase(STORES).begin()
    set_params(state, params or preset_params("test"))
    name_chain(state, CHAIN_ID, GENESIS_HASH)
    for address, amount in (balances or {}).items():
        put_genesis_balance(state, address, amount)
    put_genesis_supply(state, sum((balances or {}).values()))
    return Block(state, CHAIN_ID, height, time, hashlib.sha256(height.to_bytes(8)).digest())


def next_block(block: Block, height: int | None = None) -> Block:
    """A later block over the same journal."""
    later = block.height + 1 if height is None else height
    time = block.time + (later - block.height) * BLOCK_INTERVAL
    return Block(block.state, block.chain_id, later, time, hashlib.sha256(later.to_bytes(8)).digest())


def lone_host(validator_key: bytes = LONE_KEY, params: Params | None = None) -> GenesisState:
    """The network's part of a genesis with one host, whose consensus key this is (preset `test` unless given)."""
    host = Participant(
        address=key("host").address,
        inference_url="http://host.example:9000",
        validator_key=base64.b64encode(validator_key).decode(),
        status=ParticipantStatus.ACTIVE,
    )
    participants = [GenesisParticipant(participant=host, weight=10)]
    return GenesisState(params=params or preset_params("test"), participants=participants)


def app_state(balances: Mapping[str, int], network: GenesisState | None = None) -> dict[str, Any]:
    """The genesis file's `app_state`: these balances, and the network's own part (a lone host unless given)."""
    network = network or lone_host()
    return {
        "auth": {"accounts": []},
        "bank": {
            "balances": [
                {"address": address, "coins": [{"denom": BASE_DENOM, "amount": str(amount)}]}
                for address, amount in balances.items()
            ],
            "supply": [{"denom": BASE_DENOM, "amount": str(sum(balances.values()))}] if balances else [],
        },
        "inference": json_format.MessageToDict(network, preserving_proto_field_name=True),
    }


class Chain:
    """The application driven as the engine drives it. Every module's invariants are checked after every block."""

    def __init__(
        self,
        balances: Mapping[str, int] | None = None,
        network: GenesisState | None = None,
        *,
        store: Store | None = None,
        votes: Mapping[bytes, int] | None = None,
        sections: Mapping[str, Any] | None = None,
    ) -> None:
        """`votes`: power by 20-byte consensus address; all of them sign every block. `sections`: further ones of the genesis."""
        self.store = store or MemoryDatabase(STORES)
        self.application = Application(self.store)
        self.votes = dict(votes or {})
        self.time = GENESIS_TIME
        self.last: abci.ResponseFinalizeBlock = abci.ResponseFinalizeBlock()
        self.genesis = abci.RequestInitChain(
            time=timestamp(GENESIS_TIME),
            chain_id=CHAIN_ID,
            consensus_params=ConsensusParams(block=BlockParams(max_bytes=4 * 2**20, max_gas=-1)),
            app_state_bytes=json.dumps(app_state(balances or {}, network) | dict(sections or {})).encode(),
            initial_height=1,
        )
        self.first = self.application.init_chain(self.genesis)
        self.block()

    @property
    def height(self) -> int:
        """Of the last committed block."""
        return self.store.height

    @property
    def state(self) -> Snapshot:
        """The last committed rows."""
        return self.store.view()

    def block(self, *transactions: bytes) -> list[abci.ExecTxResult]:
        """Make and commit the next block. Returns the transactions' results; everything else is in `last`."""
        self.time += BLOCK_INTERVAL
        height = self.height + 1
        before = supply(self.state)
        self.last = self.application.finalize_block(self.block_request(height, *transactions))
        self.application.commit(abci.RequestCommit())
        self._check_that_none_has_changed(transactions)
        for check in INVARIANTS:
            check(self.state)
        assert supply(self.state) == before or height == 1
        return list(self.last.tx_results)

    def _check_that_none_has_changed(self, transactions: Sequence[bytes]) -> None:
        """The application decodes a transaction once, so no handler may change a message."""
        for raw in transactions:
            with suppress(Rejection):
                fresh = decode_transaction(raw, MESSAGES)
                assert self.application._decoded.transaction(raw) == fresh

    def block_request(self, height: int, *transactions: bytes) -> abci.RequestFinalizeBlock:
        """What the engine sends to have a block made."""
        votes = [
            abci.VoteInfo(validator=abci.Validator(address=address, power=power), block_id_flag=2)
            for address, power in sorted(self.votes.items())
        ]
        return abci.RequestFinalizeBlock(
            txs=transactions,
            decided_last_commit=abci.CommitInfo(votes=votes),
            hash=hashlib.sha256(height.to_bytes(8)).digest(),
            height=height,
            time=timestamp(self.time),
        )

    def advance(self, height: int) -> None:
        """Make empty blocks until `height` is committed."""
        while self.height < height:
            self.block()

    def sign(self, signer: PrivateKey, *messages: Message, ahead: int = 0, **options: Any) -> bytes:
        """An ordered transaction with the account's next sequence (`ahead`: so many further)."""
        number, sequence = self._place(signer)
        return ordered(
            signer,
            messages,
            **{"chain_id": CHAIN_ID, "account_number": number, "sequence": sequence + ahead, **options},
        )

    def sign_unordered(self, signer: PrivateKey, *messages: Message, seconds: int = 60, **options: Any) -> bytes:
        """An unordered transaction that is valid for so many seconds."""
        timeout = self.time + seconds * NANOSECONDS
        return unordered(
            signer,
            messages,
            **{"chain_id": CHAIN_ID, "account_number": self._place(signer)[0], "timeout_ns": timeout, **options},
        )

    def deliver(self, signer: PrivateKey, *messages: Message, **options: Any) -> abci.ExecTxResult:
        """One ordered transaction in a block of its own."""
        return self.block(self.sign(signer, *messages, **options))[0]

    def check(self, raw: bytes) -> abci.ResponseCheckTx:
        """What the engine hears of a new transaction."""
        return self.application.check_tx(abci.RequestCheckTx(tx=raw))

    def query(self, method: str, request: Message) -> Any:
        """The answer to `package.Service/Method`. Raises AssertionError if it is refused."""
        answer = self.application.query(abci.RequestQuery(path=f"/{method}", data=request.SerializeToString()))
        assert answer.code == 0, answer.log
        handler = QUERIES.find(f"/{method}")
        assert handler is not None
        return handler.response.FromString(answer.value)

    def account(self, address: str) -> Account | None:
        return account(self.state, address)

    def balance(self, address: str) -> int:
        return balance(self.state, address)

    def _place(self, signer: PrivateKey) -> tuple[int, int]:
        found = account(self.state, signer.address)
        return (found.number, found.sequence) if found else (0, 0)


def events_of(result: Any, event: str) -> list[dict[str, str]]:
    """The attributes of a result's events of one type, but for the one that tells when in a block they have happened."""
    return [
        {attribute.key: attribute.value for attribute in each.attributes if attribute.key != "mode"}
        for each in result.events
        if each.type == event
    ]
