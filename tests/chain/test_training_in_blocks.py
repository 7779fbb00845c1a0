"""A training through whole blocks: what the transactions cost, what clients read in their results, and a key that acts for a host."""

from cosmos.authz.v1beta1.authz_pb2 import GenericAuthorization, Grant
from cosmos.authz.v1beta1.tx_pb2 import MsgExec, MsgGrant
from google.protobuf.message import Message

from pivot.chain.errors import NetworkCode, SdkCode
from pivot.chain.results import TxMsgData
from pivot.primitives.addresses import of_module
from pivot.protocol.generated.inference.inference import query_pb2 as queries
from pivot.protocol.generated.inference.inference.training_pb2 import (
    HeartbeatRequest,
    JoinTrainingRequest,
    TrainingHardwareResources,
    TrainingTaskAssignee,
    TrainingTaskStatus,
)
from pivot.protocol.generated.inference.inference.tx_pb2 import (
    MsgAssignTrainingTask,
    MsgClaimTrainingTaskForAssignment,
    MsgCreateTrainingTask,
    MsgFinishTrainingTask,
    MsgJoinTraining,
    MsgJoinTrainingResponse,
    MsgSubmitHardwareDiff,
    MsgTrainingHeartbeat,
)
from pivot.protocol.generated.inference.inference.types_pb2 import Hardware, HardwareNode
from pivot.protocol.messages import pack, type_url
from pivot.protocol.transactions import NANOSECONDS, timestamp
from tests.chain.chain import Chain, events_of, key
from tests.chain.test_block import genesis, must

PRICE = 10**16
COINS, DEPOSIT, FEE = 10**10, 10**9, 10**6
ALICE, BOB, STRANGER, WARM = key("alice"), key("bob"), key("stranger"), key("warm")
CARD = "H100"


def wish() -> MsgCreateTrainingTask:
    return MsgCreateTrainingTask(
        creator=STRANGER.address, hardware_resources=[TrainingHardwareResources(type=CARD, count=8)]
    )


def assigned() -> Chain:
    """A chain with a price for gas, whose task 1 alice has assigned to her own node and bob's."""
    names = ("alice", "bob", "stranger", "warm")
    chain = Chain({key(name).address: COINS for name in names}, genesis(PRICE))
    node = HardwareNode(local_id="node1", node_number=1, hardware=[Hardware(type=CARD, count=4)])
    for host in (ALICE, BOB):
        must(chain, _name(host.address), MsgSubmitHardwareDiff(creator=host.address, newOrModified=[node]))
    assert chain.deliver(STRANGER, wish(), fee=FEE).code == 0
    must(chain, "alice", MsgClaimTrainingTaskForAssignment(creator=ALICE.address, task_id=1))
    assignees = [TrainingTaskAssignee(participant=host.address, node_ids=["node1"]) for host in (ALICE, BOB)]
    assignment = MsgAssignTrainingTask(creator=ALICE.address, task_id=1, assignees=assignees)
    result = chain.deliver(ALICE, assignment)
    assert events_of(result, "training_task_assigned") == [{"task_id": "1", "msg_index": "0"}]
    return chain


def _name(address: str) -> str:
    return next(name for name in ("alice", "bob") if key(name).address == address)


def join(host: str) -> MsgJoinTraining:
    return MsgJoinTraining(creator=host, req=JoinTrainingRequest(node_id=f"{host}/node1", run_id=1))


def test_hosts_train_for_nothing_and_who_asks_pays_and_gets_the_deposit_back() -> None:
    chain = assigned()
    refused = chain.deliver(STRANGER, wish())
    assert (refused.codespace, refused.code) == ("sdk", SdkCode.INSUFFICIENT_FEE)
    assert chain.balance(STRANGER.address) == COINS - FEE - DEPOSIT
    assert chain.balance(of_module("training")) == DEPOSIT
    must(chain, "alice", join(ALICE.address))
    data = TxMsgData.FromString(must(chain, "bob", join(BOB.address)))
    answer = MsgJoinTrainingResponse.FromString(data.msg_responses[0].value)
    assert len(answer.status.active_nodes) == 2
    assert answer.status.HasField("rank")
    chain.advance(chain.height + 1)
    beat = HeartbeatRequest(node_id=f"{BOB.address}/node1", run_id=1, outer_step=1)
    must(chain, "bob", MsgTrainingHeartbeat(creator=BOB.address, req=beat))
    again = chain.deliver(BOB, MsgTrainingHeartbeat(creator=BOB.address, req=beat))
    assert (again.codespace, again.code) == ("inference", NetworkCode.TRAINING_TOO_EARLY)
    for host in (ALICE, BOB):
        must(chain, _name(host.address), MsgFinishTrainingTask(creator=host.address, task_id=1))
    task = chain.query("inference.inference.Query/TrainingTask", queries.QueryTrainingTaskRequest(id=1)).task
    assert task.status == TrainingTaskStatus.TRAINING_FINISHED
    assert chain.balance(STRANGER.address) == COINS - FEE
    assert [chain.balance(host.address) for host in (ALICE, BOB)] == [COINS, COINS]


def test_w27_a_key_acts_in_a_hosts_training_by_its_permission_alone() -> None:
    chain = assigned()

    def executed(message: Message) -> int:
        exec_ = MsgExec(grantee=WARM.address, msgs=[pack(message)])
        return int(chain.deliver(WARM, exec_, fee=FEE).code)

    assert executed(join(BOB.address)) != 0
    ends = timestamp(chain.time + 3_600 * NANOSECONDS)
    permission = GenericAuthorization(msg=type_url(MsgJoinTraining))
    grant = MsgGrant(
        granter=BOB.address, grantee=WARM.address, grant=Grant(authorization=pack(permission), expiration=ends)
    )
    assert chain.deliver(BOB, grant, fee=FEE).code == 0
    assert executed(join(BOB.address)) == 0
    assert executed(MsgFinishTrainingTask(creator=BOB.address, task_id=1)) != 0
