"""What the engine asks, in order (ABCI 2.0).

A block is made in a journal and written by Commit alone, so it can be made again, and a crash at any moment leaves whole
blocks. CheckTx works on a journal of its own over the last committed state, in which only the transactions' being let in
leaves traces; it starts anew after every block. Queries read the committed state, in any thread.
"""

from collections.abc import Mapping, Sequence
from importlib.metadata import version

from tendermint.abci import types_pb2 as abci
from tendermint.crypto.keys_pb2 import PublicKey

from pivot.chain.ante import process_ante
from pivot.chain.block import process_block
from pivot.chain.decoded import Decoded
from pivot.chain.errors import Rejection
from pivot.chain.free_space import FreeSpace
from pivot.chain.genesis import load_genesis
from pivot.chain.modules.params import state as params
from pivot.chain.proposal import choose, shares_out
from pivot.chain.queries import answer_query
from pivot.chain.results import abci_events
from pivot.chain.signatures import Signatures
from pivot.chain.store.interface import Store
from pivot.chain.store.journal import State
from pivot.chain.store.snapshot_taker import SnapshotTaker
from pivot.chain.transaction import Transaction
from pivot.chain.types import Block, CommitVote, Misbehaviour, ValidatorUpdate
from pivot.protocol.transactions import nanoseconds

NAME = "pivot"
BLOCK_ID_FLAG_ABSENT = 1
"""Any other flag is a signature, also one for no block: the validator's engine runs. Beside a validator that alone decides,
others often come too late to sign for the block itself."""


class Application:
    """The state machine behind the engine. One thread calls it; others may call `query` meanwhile, but for rows."""

    def __init__(self, store: Store, taker: SnapshotTaker | None = None) -> None:
        """`taker` is told of every commit; without one no snapshots are taken."""
        self._store = store
        self._taker = taker
        self._decoded = Decoded()
        self._signatures = Signatures()
        self._genesis: Mapping[str, Mapping[bytes, bytes | None]] = {}
        self._chain_id = ""
        self._checking = self._begin_checking()

    def info(self, _: abci.RequestInfo) -> abci.ResponseInfo:
        """The last committed block; the engine replays what it has beyond it."""
        return abci.ResponseInfo(
            data=NAME,
            version=version(NAME),
            last_block_height=self._store.height,
            last_block_app_hash=self._store.app_hash if self._store.height else b"",
        )

    def init_chain(self, request: abci.RequestInitChain) -> abci.ResponseInitChain:
        """Make the first state. It becomes durable together with the first block."""
        block = Block(self._store.begin(), request.chain_id, request.initial_height - 1, nanoseconds(request.time), b"")
        load_genesis(block, request.app_state_bytes, request.consensus_params)
        self._genesis = block.state.changes()
        self._checking = self._begin_checking()
        return abci.ResponseInitChain(
            app_hash=self._store.stage(request.initial_height, self._genesis),
            validators=_validator_updates(block.validator_updates),
        )

    def check_tx(self, request: abci.RequestCheckTx) -> abci.ResponseCheckTx:
        """Whether a transaction would be let into the next block, behind those that were let in before it.

        The engine is told the gas that it takes, not the limit that clients name generously: it fills blocks by that number.
        """
        try:
            transaction = self._decoded.transaction(request.tx)
            process_ante(self._checking, transaction, self._signatures)
        except Rejection as refusal:
            return abci.ResponseCheckTx(code=refusal.code, codespace=refusal.codespace, log=refusal.log)
        finally:
            self._checking.events.clear()
        return abci.ResponseCheckTx(gas_wanted=transaction.gas, gas_used=transaction.gas)

    def prepare_proposal(self, request: abci.RequestPrepareProposal) -> abci.ResponsePrepareProposal:
        """The transactions of a proposal: members' urgent duties first, then by arrival."""
        known = [decoded for raw in request.txs if isinstance(decoded := self._decode(raw), Transaction)]
        return abci.ResponsePrepareProposal(txs=choose(known, self._free_space(), request.max_tx_bytes))

    def process_proposal(self, request: abci.RequestProcessProposal) -> abci.ResponseProcessProposal:
        """Accept a proposal whose transactions can all be decoded and take no more gas than a block, and than hosts' shares of it."""
        decoded = [self._decode(raw) for raw in request.txs]
        known = [each for each in decoded if isinstance(each, Transaction)]
        most = params.consensus_params(self._checking.state).block.max_gas  # the engine's −1: no limit
        sound = len(known) == len(decoded) and (most < 0 or sum(each.gas for each in known) <= most)
        sound = sound and shares_out(known, self._free_space())
        verdict = abci.ResponseProcessProposal.ACCEPT if sound else abci.ResponseProcessProposal.REJECT
        return abci.ResponseProcessProposal(status=verdict)

    def finalize_block(self, request: abci.RequestFinalizeBlock) -> abci.ResponseFinalizeBlock:
        """Make a block. Nothing is durable yet; the same height may come again."""
        block = self._begin(request)
        limits = params.consensus_params(block.state)
        results = process_block(block, [self._decode(raw) for raw in request.txs], self._signatures)
        changed = params.consensus_params(block.state)
        return abci.ResponseFinalizeBlock(
            events=abci_events(block.events),
            tx_results=results,
            validator_updates=_validator_updates(block.validator_updates),
            consensus_param_updates=changed if changed != limits else None,
            app_hash=self._store.stage(request.height, block.state.changes()),
        )

    def commit(self, _: abci.RequestCommit) -> abci.ResponseCommit:
        """Make the finalized block durable, as a whole."""
        if self._taker is not None:
            self._taker.before_commit()
        self._store.commit()
        if self._taker is not None:
            self._taker.after_commit(self._store.height)
        self.follow_committed_state()
        return abci.ResponseCommit()

    def follow_committed_state(self) -> None:
        """Go on from the state that is committed now."""
        self._genesis = {}
        self._checking = self._begin_checking()

    def query(self, request: abci.RequestQuery) -> abci.ResponseQuery:
        """An answer from the last committed state, with a proof if it is asked for one."""
        return answer_query(self._store, request)

    def _decode(self, raw: bytes) -> Transaction | Rejection:
        try:
            return self._decoded.transaction(raw)
        except Rejection as refusal:
            return refusal

    def _free_space(self) -> FreeSpace:
        """Of one block after the committed ones; what is being checked changes nothing that it depends on."""
        return FreeSpace(self._checking.state, self._checking.time, {})

    def _begin(self, request: abci.RequestFinalizeBlock) -> Block:
        state = self._begin_state()
        votes = tuple(
            CommitVote(vote.validator.address, vote.validator.power, vote.block_id_flag != BLOCK_ID_FLAG_ABSENT)
            for vote in request.decided_last_commit.votes
        )
        found = tuple(
            Misbehaviour(each.validator.address, each.validator.power, each.height, nanoseconds(each.time))
            for each in request.misbehavior
        )
        chain_id = params.chain_id(state)
        return Block(state, chain_id, request.height, nanoseconds(request.time), request.hash, votes, found)

    def _begin_checking(self) -> Block:
        state = self._begin_state()
        return Block(state, params.chain_id(state), self._store.height + 1, params.block_time(state), b"")

    def _begin_state(self) -> State:
        """A journal over the committed state, with the first state in it until that is committed."""
        state = self._store.begin()
        for store, rows in self._genesis.items():
            for key, value in rows.items():
                if value is not None:
                    state.set(store, key, value)
        return state


def _validator_updates(updates: Sequence[ValidatorUpdate]) -> list[abci.ValidatorUpdate]:
    return [
        abci.ValidatorUpdate(pub_key=PublicKey(ed25519=update.public_key), power=update.power) for update in updates
    ]
