"""gonka-openai's own check (`GONKA_VERIFY_PROOF=1`) takes the answer of `/v1/epochs/{epoch}/participants`."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.api.http.test_public import EPOCH, key_of, members_of, running_port
from tests.api.inference.network import running_network

pytestmark = pytest.mark.clients


@pytest.mark.parametrize("tampered", [False, True])
async def test_gonka_openai_takes_the_proof_of_the_members(
    tmp_path: Path, run_client: Callable[..., str], tampered: bool
) -> None:
    async with running_network(tmp_path) as network, running_port(network) as port:
        host = network.hosts[0]
        port.rpc.put(key_of(EPOCH), members_of(host).SerializeToString())
        _, answer = await port.get("/v1/epochs/current/participants")
    if tampered:
        answer["active_participants_bytes"] = answer["active_participants_bytes"][:-2] + "00"
    file = tmp_path / "participants.json"
    file.write_text(json.dumps(answer))
    if tampered:
        with pytest.raises(AssertionError, match="value mismatch"):
            run_client("verify_members.py", str(file), GONKA_VERIFY_PROOF="1")
    else:
        told = run_client("verify_members.py", str(file), GONKA_VERIFY_PROOF="1")
        assert json.loads(told.splitlines()[-1]) == [[host.url + "/v1", host.address]]
