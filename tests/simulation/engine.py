"""The consensus engine's part: it decides what stands in a block, who signs, and when the application is torn away from its work."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from tendermint.abci import types_pb2 as abci
from tendermint.types.params_pb2 import ConsensusParams

from pivot.chain.application import Application
from pivot.chain.store.interface import Store
from pivot.primitives.addresses import consensus_address
from pivot.primitives.hashes import sha256
from pivot.protocol.transactions import timestamp

MAX_TX_BYTES = 2**20
VALIDATOR_DELAY = 2
"""An update of block H changes who signs block H + 2."""
ABSENT, COMMITTED = 1, 2


@dataclass
class BlockPlan:
    """What chance has decided about one block."""

    height: int
    time: int
    hostile_proposer: bool = False
    """It takes what the application would not have let in, if other validators accept that."""
    crash_before_commit: bool = False
    finalize_twice: bool = False
    restart_after_commit: bool = False
    absent: frozenset[bytes] = frozenset()
    """Consensus addresses that do not sign the block before."""
    misbehaviours: Sequence[abci.Misbehavior] = ()


@dataclass
class Engine:
    """Drives one application over one store, as CometBFT does. `open_store` opens it again after a crash."""

    open_store: Callable[[], Store]
    store: Store = field(init=False)
    application: Application = field(init=False)
    app_hashes: list[bytes] = field(default_factory=list)
    genesis: abci.RequestInitChain = field(default_factory=abci.RequestInitChain)
    sets: dict[int, dict[bytes, int]] = field(default_factory=dict)
    """Powers by consensus key, by the height that they sign."""

    def __post_init__(self) -> None:
        self.store = self.open_store()
        self.application = Application(self.store)

    def init(self, chain_id: str, app_state: bytes, params: ConsensusParams, time: int, height: int = 1) -> None:
        """Begin the chain. Raises whatever the application raises."""
        self.genesis = abci.RequestInitChain(
            time=timestamp(time),
            chain_id=chain_id,
            consensus_params=params,
            app_state_bytes=app_state,
            initial_height=height,
        )
        first = self.application.init_chain(self.genesis)
        begin = {update.pub_key.ed25519: update.power for update in first.validators}
        assert begin, "a chain begins with validators"
        for ahead in range(-1, VALIDATOR_DELAY):
            self.sets[height + ahead] = dict(begin)

    def let_in(self, transactions: Iterable[bytes]) -> list[bytes]:
        """Those that CheckTx lets into the mempool."""
        return [raw for raw in transactions if self.application.check_tx(abci.RequestCheckTx(tx=raw)).code == 0]

    def make_block(self, plan: BlockPlan, offered: Sequence[bytes]) -> abci.ResponseFinalizeBlock:
        """Propose, process, finalize and commit a block out of these transactions; every answer that the engine relies on is checked."""
        chosen = self._proposal(plan, offered)
        request = self._request(plan, chosen)
        response = self.application.finalize_block(request)
        if plan.finalize_twice or plan.crash_before_commit:
            if plan.crash_before_commit:
                self.restart()
            again = self.application.finalize_block(request)
            assert again == response, f"block {plan.height} came out differently when it was made again"
        assert len(response.tx_results) == len(chosen)
        self.application.commit(abci.RequestCommit())
        self._note(plan.height, response)
        if plan.restart_after_commit:
            self.restart()
        return response

    def restart(self) -> None:
        """Kill the application and start it again on what is durable."""
        self.store.close()
        self.store = self.open_store()
        self.application = Application(self.store)
        told = self.application.info(abci.RequestInfo())
        done = self.app_hashes[-1] if self.app_hashes else b""
        assert told.last_block_app_hash == done, "a committed block is lost"
        if not self.app_hashes:
            self.application.init_chain(self.genesis)

    def _proposal(self, plan: BlockPlan, offered: Sequence[bytes]) -> list[bytes]:
        if plan.hostile_proposer:
            hostile = abci.RequestProcessProposal(txs=offered, height=plan.height)
            if self.application.process_proposal(hostile).status == abci.ResponseProcessProposal.ACCEPT:
                return list(offered)
        prepare = abci.RequestPrepareProposal(
            max_tx_bytes=MAX_TX_BYTES, txs=self.let_in(offered), height=plan.height, time=timestamp(plan.time)
        )
        chosen = list(self.application.prepare_proposal(prepare).txs)
        own = abci.RequestProcessProposal(txs=chosen, height=plan.height)
        verdict = self.application.process_proposal(own).status
        assert verdict == abci.ResponseProcessProposal.ACCEPT, f"block {plan.height}: an honest proposal is refused"
        return chosen

    def _request(self, plan: BlockPlan, transactions: Sequence[bytes]) -> abci.RequestFinalizeBlock:
        signing = self.sets[plan.height - 1]
        votes = [
            abci.VoteInfo(
                validator=abci.Validator(address=address, power=power),
                block_id_flag=ABSENT if address in plan.absent else COMMITTED,
            )
            for address, power in sorted((consensus_address(key), power) for key, power in signing.items())
        ]
        return abci.RequestFinalizeBlock(
            txs=transactions,
            decided_last_commit=abci.CommitInfo(votes=votes if plan.height > self.genesis.initial_height else []),
            misbehavior=plan.misbehaviours,
            hash=sha256(b"block " + plan.height.to_bytes(8)),
            height=plan.height,
            time=timestamp(plan.time),
        )

    def _note(self, height: int, response: abci.ResponseFinalizeBlock) -> None:
        """Follow the validator set as the engine does, which stops when it is told something impossible."""
        self.app_hashes.append(response.app_hash)
        following = dict(self.sets[height + 1])
        seen = set()
        for update in response.validator_updates:
            key = update.pub_key.ed25519
            assert key not in seen, f"block {height} updates a validator twice"
            assert update.power >= 0
            seen.add(key)
            if update.power:
                following[key] = update.power
            else:
                assert key in following, f"block {height} removes a validator that is not there"
                del following[key]
        assert following, f"block {height} removes the last validator"
        assert sum(following.values()) <= 2**50, "the total power is beyond the engine's bound"
        self.sets[height + VALIDATOR_DELAY] = following
        self.sets.pop(height - 1, None)


def absent_of(powers: Mapping[bytes, int], sleepers: Iterable[bytes]) -> frozenset[bytes]:
    """Consensus addresses of the sleeping keys, as many as leave more than two thirds of the power awake."""
    total, gone = sum(powers.values()), 0
    absent = set()
    for key in sleepers:
        gone += powers.get(key, 0)
        if gone * 3 >= total:
            break
        absent.add(consensus_address(key))
    return frozenset(absent)
