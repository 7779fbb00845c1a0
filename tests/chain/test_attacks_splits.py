"""Attacks that would make honest nodes disagree on a block."""

import pytest
from cosmos.upgrade.v1beta1.tx_pb2 import MsgSoftwareUpgrade
from cosmos.upgrade.v1beta1.upgrade_pb2 import Plan

from pivot.chain.errors import Rejection
from pivot.chain.modules.gov.authority import AUTHORITY
from pivot.chain.registry import GOVERNED
from pivot.protocol.generated.inference.inference.tx_pb2 import MsgRegisterModel
from pivot.protocol.messages import pack

SHAKING_FACE = "\U0001fae8"
"""Since Unicode 15: Python 3.12 takes it for printable, Python 3.11 does not."""


@pytest.mark.parametrize(
    "message",
    [
        MsgSoftwareUpgrade(authority=AUTHORITY, plan=Plan(name=f"v2 {SHAKING_FACE}", height=100)),
        MsgRegisterModel(authority=AUTHORITY, id=f"org/{SHAKING_FACE}"),
        MsgRegisterModel(authority=AUTHORITY, id="org/model", model_args=["--served-name", SHAKING_FACE]),
    ],
)
def test_what_versions_of_python_judge_differently_is_refused_by_all(message: MsgSoftwareUpgrade) -> None:
    handler, unpacked = GOVERNED.unpack(pack(message))
    with pytest.raises(Rejection, match="must be printable ASCII"):
        handler.check(unpacked)
