"""Hosts in a small network, and blocks in which they take part in sprints without transactions around their messages."""

import base64
from collections.abc import Iterable, Mapping, Sequence

from google.protobuf.message import Message

from pivot.chain.block import begin_block, end_block
from pivot.chain.handlers import MessageTable, QueryTable
from pivot.chain.modules.collateral.invariants import check_collateral
from pivot.chain.modules.epochs import genesis as epochs_genesis
from pivot.chain.modules.epochs import queries as epochs_queries
from pivot.chain.modules.epochs import state as epochs
from pivot.chain.modules.members import genesis as members_genesis
from pivot.chain.modules.members import queries as members_queries
from pivot.chain.modules.members import state as members
from pivot.chain.modules.members.invariants import check_formation, check_groups
from pivot.chain.modules.models import genesis as models_genesis
from pivot.chain.modules.models import queries as models_queries
from pivot.chain.modules.participants import genesis as participants_genesis
from pivot.chain.modules.participants import messages as participants_messages
from pivot.chain.modules.participants import queries as participants_queries
from pivot.chain.modules.participants.invariants import check_consensus_keys, check_node_numbers
from pivot.chain.modules.poc import messages as poc_messages
from pivot.chain.modules.poc import queries as poc_queries
from pivot.chain.modules.poc import state as poc
from pivot.chain.modules.poc import tally
from pivot.chain.modules.randomness import queries as randomness_queries
from pivot.chain.modules.slashing.invariants import check_signing
from pivot.chain.modules.validation import messages as validation_messages
from pivot.chain.modules.validators import genesis as validators_genesis
from pivot.chain.modules.validators.invariants import check_powers
from pivot.chain.types import CommitVote, ValidatorUpdate, View
from pivot.primitives.addresses import consensus_address
from pivot.primitives.hashes import sha256
from pivot.protocol.generated.inference.inference.genesis_pb2 import GenesisParticipant, GenesisState
from pivot.protocol.generated.inference.inference.params_pb2 import Params
from pivot.protocol.generated.inference.inference.tx_pb2 import (
    MsgCommitPoc,
    MsgRevealElement,
    MsgSubmitHardwareDiff,
    MsgSubmitNewParticipant,
    MsgSubmitPocVoteHash,
    MsgSubmitPocVotes,
)
from pivot.protocol.generated.inference.inference.types_pb2 import (
    HardwareNode,
    HardwareNodes,
    MLNodeInfo,
    Model,
    Participant,
    ParticipantStatus,
    PocNodeCommit,
    PocVerdict,
    PocVote,
)
from pivot.protocol.hash_chain import element, tip
from pivot.protocol.messages import type_url
from pivot.protocol.parameters import preset_params
from pivot.protocol.poc import vote_hash
from pivot.protocol.signing import registration_sign_bytes
from tests.chain.chain import CHAIN_ID, consensus_key, key, next_block, plain_block

MODELS = ("org/big", "org/small")
SALT = bytes(32)
VALID, INVALID, ABSTAIN = PocVerdict.POC_VALID, PocVerdict.POC_INVALID, PocVerdict.POC_ABSTAIN
MESSAGES = MessageTable([*participants_messages.MESSAGES, *poc_messages.MESSAGES, *validation_messages.MESSAGES])
QUERIES = QueryTable(
    [
        *participants_queries.QUERIES,
        *models_queries.QUERIES,
        *epochs_queries.QUERIES,
        *members_queries.QUERIES,
        *randomness_queries.QUERIES,
        *poc_queries.QUERIES,
    ]
)


def encoded(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def node(number: int, models: Iterable[str] = MODELS[:1], name: str | None = None) -> HardwareNode:
    """A node as hosts declare it."""
    return HardwareNode(local_id=name or f"node{number}", node_number=number, models=models)


def fast_params() -> Params:
    """Preset `test` without a limit on the rate of passes."""
    params = preset_params("test")
    params.poc_params.max_rate = 0
    return params


def registration(name: str, *, url: str | None = None, consensus: str | None = None) -> MsgSubmitNewParticipant:
    """A host's own registration."""
    host, url = key(name), f"http://{name}.example:9000" if url is None else url
    validator_key = encoded(consensus_key(consensus or name))
    signed = registration_sign_bytes(CHAIN_ID, host.address, url, validator_key)
    return MsgSubmitNewParticipant(
        creator=host.address, url=url, validator_key=validator_key, registration_signature=host.sign_base64(signed)
    )


class Network:
    """A chain of blocks over one journal. Invariants are checked after every block."""

    def __init__(
        self,
        weights: Mapping[str, int] | None = None,
        *,
        params: Params | None = None,
        hardware: Mapping[str, Sequence[HardwareNode]] | None = None,
        signing: Sequence[str] | None = None,
    ) -> None:
        """weights: of the genesis' hosts by name. signing: consensus keys, by name, that sign (default: all)."""
        weights = {"alice": 30, "bob": 20, "carol": 10} if weights is None else weights
        self.names = {key(name).address: name for name in weights}
        self.params = params or fast_params()
        self.signing = signing
        self.sets: list[dict[bytes, int]] = []
        self.block = plain_block(height=0, params=self.params)
        document = GenesisState(
            params=self.params,
            model_list=[Model(id=name) for name in MODELS],
            participants=[
                GenesisParticipant(
                    participant=Participant(
                        address=key(name).address,
                        inference_url=f"http://{name}.example:9000",
                        status=ParticipantStatus.ACTIVE,
                        validator_key=encoded(consensus_key(name)),
                        account_public_key=key(name).public_key,
                    ),
                    weight=weight,
                    hardware_nodes=HardwareNodes(hardware_nodes=(hardware or {}).get(name, ())),
                )
                for name, weight in weights.items()
            ],
        )
        for module in (models_genesis, participants_genesis, epochs_genesis, members_genesis, validators_genesis):
            module.begin(self.block, document)
        self.set = self._changed({}, self.block.validator_updates)
        self.sets = [self.set] * 2
        self._next()

    # Blocks

    def advance(self, height: int) -> None:
        """Finish blocks until the one of this height is under way."""
        while self.block.height < height:
            self._end()
            self._next()

    def skip_to(self, height: int) -> None:
        """Finish this block and begin the one of a later height, as a chain does that goes on from an export."""
        self._end()
        self.sets += [self.set] * (height - self.block.height - 1)
        self._next(height)

    def _next(self, height: int | None = None) -> None:
        self.block = next_block(self.block, height)
        seen = self.sets[max(self.block.height - 2, 0)] if self.block.height > 1 else {}
        signing = None if self.signing is None else {consensus_key(name) for name in self.signing}
        self.block.last_commit = tuple(
            CommitVote(consensus_address(each), power, signing is None or each in signing)
            for each, power in seen.items()
        )
        begin_block(self.block)

    def _end(self) -> None:
        block = self.block
        end_block(block)
        self.set = self._changed(self.set, block.validator_updates)
        self.sets.append(self.set)
        for check in (
            check_groups,
            check_formation,
            check_consensus_keys,
            check_node_numbers,
            check_powers,
            check_signing,
            check_collateral,
        ):
            check(block.state)

    @staticmethod
    def _changed(before: Mapping[bytes, int], updates: Sequence[ValidatorUpdate]) -> dict[bytes, int]:
        """The engine's set after some updates, with the rules by which the engine takes them."""
        after = dict(before)
        assert [update.public_key for update in updates] == sorted({update.public_key for update in updates})
        for update in updates:
            assert after.get(update.public_key, 0) != update.power
            after[update.public_key] = update.power
        after = {each: power for each, power in after.items() if power}
        assert after or not before
        return after

    # What is there

    @property
    def state(self):
        return self.block.state

    @property
    def view(self) -> View:
        """What queries see."""
        return View(self.state, CHAIN_ID, self.block.height, self.block.time)

    def serving(self, name: str) -> tuple[MLNodeInfo, ...]:
        """A host's nodes that serve through the sprint which takes place in the current epoch."""
        return members.serving_nodes(self.state, epochs.effective_index(self.state), key(name).address)

    def query(self, method: str, request: Message):
        handler = QUERIES.find(f"/inference.inference.Query/{method}")
        assert handler is not None
        return handler.answer(self.view, request)

    def weights(self, epoch: int, model: str = "") -> dict[str, int]:
        """Members' weights by name."""
        return {self.names[address]: weight for address, weight in members.weights(self.state, epoch, model)}

    def powers(self) -> dict[str, int]:
        """The set that the engine was told, by name of the consensus key."""
        known = {consensus_key(name): name for name in (*self.names.values(), "other")}
        return {known[each]: power for each, power in self.set.items()}

    def events(self, kind: str) -> list[dict[str, str]]:
        return [dict(event.attributes) for event in self.block.events if event.type == kind]

    # Messages

    def deliver(self, message: Message) -> Message:
        """Check a message and run it in a frame of its own."""
        handler = MESSAGES.find(type_url(message))
        assert handler is not None
        handler.check(message)
        assert handler.gas(message) > 0
        with self.block.frame():
            return handler.handle(self.block, message)

    def register(self, name: str, **fields: str) -> str:
        """Register a host; its address."""
        self.names[key(name).address] = name
        self.deliver(registration(name, **fields))
        return key(name).address

    def declare(self, name: str, *nodes: HardwareNode, removed: Iterable[HardwareNode] = ()) -> None:
        self.deliver(MsgSubmitHardwareDiff(creator=key(name).address, newOrModified=nodes, removed=removed))

    def commit_message(self, name: str, counts: Mapping[int, int], *, epoch: int | None = None) -> MsgCommitPoc:
        """A host's commit for the sprint under way: passes by node number."""
        index = epochs.effective_index(self.state) + 1 if epoch is None else epoch
        return MsgCommitPoc(
            creator=key(name).address,
            epoch_index=index,
            nodes=[
                PocNodeCommit(
                    node_number=number, node_id=f"node{number}", count=count, merkle_root=sha256(number.to_bytes(8))
                )
                for number, count in counts.items()
            ],
            hash_chain_tip=tip(CHAIN_ID, index, key(name).address, secret(name)),
        )

    def vote_messages(
        self, name: str, votes: Iterable[PocVote], salt: bytes = SALT
    ) -> tuple[MsgSubmitPocVoteHash, MsgSubmitPocVotes]:
        """A checker's vote hash and votes for the sprint under way."""
        votes = list(votes)
        index = epochs.effective_index(self.state) + 1
        address = key(name).address
        hashed = vote_hash(CHAIN_ID, index, address, votes, salt)
        return (
            MsgSubmitPocVoteHash(creator=address, epoch_index=index, vote_hash=hashed),
            MsgSubmitPocVotes(creator=address, epoch_index=index, votes=votes, salt=salt),
        )

    def reveal_message(self, name: str, epoch: int, segment: int) -> MsgRevealElement:
        address = key(name).address
        return MsgRevealElement(
            creator=address,
            epoch_index=epoch,
            segment=segment,
            element=element(CHAIN_ID, epoch, address, secret(name), segment),
        )

    # Sprints

    def to_sprint(self) -> None:
        """Go to the first block in which commits are taken."""
        self.advance(epochs.effective(self.state).boundaries.next_poc_start + 1)

    def to_votes(self) -> None:
        """Go to the first block in which vote hashes are taken."""
        self.advance(epochs.latest(self.state).boundaries.poc_validation_start + 1)

    def to_reveal(self) -> None:
        """Go to the first block in which votes are taken."""
        self.advance(epochs.latest(self.state).boundaries.poc_validation_reveal + 1)

    def to_switched(self) -> None:
        """Go to the first block in which the new members serve."""
        self.advance(epochs.latest(self.state).boundaries.set_new_validators + 1)

    def duties(self) -> dict[str, list[str]]:
        """Checkers by name: the names of the hosts that they check in the sprint under way."""
        upcoming = epochs.latest(self.state)
        found: dict[str, list[str]] = {}
        for commit in filter(lambda each: each.nodes, poc.commits(self.state, upcoming.index)):
            for checker in tally.checkers(self.state, upcoming, commit.participant):
                found.setdefault(self.names[checker], []).append(self.names[commit.participant])
        return found

    def sprint(
        self,
        counts: Mapping[str, Mapping[int, int]],
        verdicts: Mapping[tuple[str, str], PocVote] | None = None,
        *,
        silent: Iterable[str] = (),
    ) -> None:
        """A whole sprint, to the first block in which the new members serve.

        counts: passes by host and node. verdicts: votes by (checker, host) that differ from a clean VALID. silent: checkers
        who say nothing.
        """
        self.to_sprint()
        for name, passes in counts.items():
            self.deliver(self.commit_message(name, passes))
        self.sprint_votes(verdicts, silent=silent)
        self.to_switched()

    def sprint_votes(
        self, verdicts: Mapping[tuple[str, str], PocVote] | None = None, *, silent: Iterable[str] = ()
    ) -> None:
        """The checks of a sprint, to the first block in which votes are taken."""
        self.to_votes()
        ballots = {
            checker: [(verdicts or {}).get((checker, host)) or vote(host) for host in hosts]
            for checker, hosts in self.duties().items()
            if checker not in silent
        }
        messages = [self.vote_messages(checker, votes) for checker, votes in ballots.items()]
        for hashed, _ in messages:
            self.deliver(hashed)
        self.to_reveal()
        for _, votes in messages:
            self.deliver(votes)


def secret(name: str) -> bytes:
    """The secret under a host's hash chains."""
    return sha256(b"secret " + name.encode())


def vote(host: str, verdict: PocVerdict = VALID, mismatched: int = 0, checked: int = 20) -> PocVote:
    return PocVote(participant=key(host).address, checked=checked, mismatched=mismatched, verdict=verdict)
