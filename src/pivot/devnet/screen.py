"""The one screen of `pivot devnet up`: hosts, epoch, phase, weights, blocks, last requests, and lines to copy."""

from pathlib import Path

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from pivot.devnet.plan import MODEL, Plan
from pivot.devnet.status import NetworkStatus

SHOWN_REQUESTS = 5


def render(plan: Plan, home: Path, status: NetworkStatus, *, ready: bool) -> Group:
    """The screen for one moment."""
    parts: list[RenderableType] = [_headline(plan, status), _hosts(status), _processes(status), _requests(status)]
    if ready:
        parts.append(Text("Copy to send a request:", style="bold"))
        parts += [Text(f"\n{request}") for request in first_requests(plan)]
        parts.append(Text())
    else:
        parts.append(Text("Starting: the first host earns its weight in the first sprint …", style="dim"))
    parts.append(
        Text(f"Logs and state: {home}   Ctrl-C stops the network; the same command continues it.", style="dim")
    )
    return Group(*parts)


def first_requests(plan: Plan) -> list[str]:
    """What to copy: curl, and Python with the openai package, in lines that fit a terminal."""
    url, key = plan.hosts[0].public_url, plan.api_key
    curl = (
        f"curl {url}/v1/chat/completions \\\n"
        f"  -H 'Authorization: Bearer {key}' \\\n"
        f"  -H 'Content-Type: application/json' \\\n"
        f"""  -d '{{"model": "{MODEL}", "messages": [{{"role": "user", "content": "What is an epoch?"}}]}}'"""
    )
    python = (
        "from openai import OpenAI\n"
        f'client = OpenAI(base_url="{url}/v1", api_key="{key}")\n'
        "answer = client.chat.completions.create(\n"
        f'    model="{MODEL}", messages=[{{"role": "user", "content": "What is an epoch?"}}]\n'
        ")\n"
        "print(answer.choices[0].message.content)"
    )
    return [curl, python]


def _headline(plan: Plan, status: NetworkStatus) -> Text:
    return Text.assemble(
        ("Pivot devnet ", "bold"),
        f"{plan.chain_id}   block {status.height}   epoch {status.epoch}   ",
        (status.phase, "cyan"),
        f"   next sprint in {status.blocks_to_next_sprint} blocks",
    )


def _hosts(status: NetworkStatus) -> Table:
    table = Table("host", "weight", "ML nodes", "public URL", expand=True)
    for host in status.hosts:
        nodes = ", ".join(f"{node['id']} {node['status']}" for node in host.ml_nodes) or "none"
        table.add_row(host.address, str(host.weight), nodes, host.public_url)
    return table


def _processes(status: NetworkStatus) -> Text:
    line = Text("processes  ", style="dim")
    for process in status.processes:
        good = process["state"] == "running"
        line.append(f"{process['name']}·{process['host']} ", style="green" if good else "yellow")
    return line


def _requests(status: NetworkStatus) -> Table:
    table = Table("last requests", "status", "tokens", "cost (ngonka)", expand=True)
    for record in status.last_requests[:SHOWN_REQUESTS]:
        tokens = f"{record['prompt_token_count']} + {record['completion_token_count']}"
        table.add_row(record["inference_id"][:24] + "…", record["status"], tokens, record["actual_cost"])
    return table
