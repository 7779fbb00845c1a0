"""Those who decide on a network: a developer who proposes, and the hosts, who vote."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pivot.devnet.plan import load_plan
from pivot.primitives.addresses import of_module
from tests.e2e.network import Network, until
from tests.e2e.terminal import Person

GOVERNANCE = of_module("gov")
DEPOSIT = 25_000_000
PASSED = "PROPOSAL_STATUS_PASSED"
VOTING = "PROPOSAL_STATUS_VOTING_PERIOD"


class People(Person):
    """The keys of the developer, who proposes, and of the two hosts, who vote: `host0` and `host1`."""

    def __init__(self, network: Network, folder: Path) -> None:
        super().__init__(folder, network.hosts[0]["rpc_url"])
        plan = load_plan(network.home)
        keys = {"developer": plan.developer_key} | {f"host{i}": host.account_key for i, host in enumerate(plan.hosts)}
        for name, key in keys.items():
            self.json("keys", "import-hex", name, stdin=key)

    def propose(self, title: str, *messages: dict[str, Any]) -> str:
        """Propose with the whole deposit, so that the vote begins. Returns the proposal's id."""
        document = {
            "title": title,
            "summary": "As the title says.",
            "deposit": f"{DEPOSIT}ngonka",
            "messages": [{"authority": GOVERNANCE} | message for message in messages],
        }
        (self.folder / "proposal.json").write_text(json.dumps(document))
        sent = self.json("tx", "gov", "submit-proposal", "proposal.json", "--from", "developer", "--yes")
        made = next(event for event in sent["events"] if event["type"] == "submit_proposal")
        return str(next(each["value"] for each in made["attributes"] if each["key"] == "proposal_id"))

    def vote(self, proposal: str, **options: str) -> None:
        for voter, option in options.items():
            self.json("tx", "gov", "vote", proposal, option, "--from", voter, "--yes")

    async def decided(self, proposal: str) -> dict[str, Any]:
        """The proposal when its vote has been counted."""

        async def counted() -> dict[str, Any] | None:
            found: dict[str, Any] = self.json("query", "gov", "proposal", proposal)["proposal"]
            return None if found["status"] == VOTING else found

        return await until(counted)

    def epoch_params(self, epoch: str) -> tuple[int, str]:
        """Index, and length of grace by its own parameters, of the `latest_epoch` or the `effective_epoch`."""
        told = self.json("query", "inference", "epoch-info")[epoch]
        return int(told["index"]), told["params"]["epoch_params"]["previous_epoch_grace"]
