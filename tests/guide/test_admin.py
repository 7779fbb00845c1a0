"""The commands of `docs/hosts/ml-nodes.md` do what the page says, run by a shell as they are printed."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from pivot.api.fleet.declaration import NodeDeclaration
from pivot.api.http.admin import admin_app
from pivot.protocol.generated.inference.inference.types_pb2 import Model
from tests.api.fleet.chain import FakeChain, FakePhases
from tests.api.fleet.ml_node import FakeMlNode
from tests.api.poc.host import host
from tests.api.serving import serving

PAGE = Path(__file__).resolve().parents[2] / "docs" / "hosts" / "ml-nodes.md"
QWQ = "Qwen/QwQ-32B"
PRINTED = "http://localhost:9200"

PUBLISHED_COMMANDS = (
    """\
curl -X POST http://localhost:9200/admin/v1/nodes \\
     -H "Content-Type: application/json" \\
     -d '{
       "id": "<unique_id>",
       "host": "<your_inference_node_static_ip>",
       "inference_port": <inference_port>,
       "poc_port": <poc_port>,
       "max_concurrent": <max_concurrent>,
       "models": {
         "<model_name>": {
           "args": [
              <model_args>
           ]
         }
       }
     }'
""",
    "curl -X GET http://localhost:9200/admin/v1/nodes\n",
    """curl -X DELETE "http://localhost:9200/admin/v1/nodes/{id}" -H "Content-Type: application/json"\n""",
)
"""The lines that hosts know, to the letter."""
PUBLISHED_EXAMPLES = {
    "id": "node1",
    "host": "http://10.0.0.5",
    "inference_port": "5000",
    "poc_port": "8000",
    "max_concurrent": "500",
    "model_name": "Qwen/QwQ-32B",
    "model_args": '"--quantization","fp8","--kv-cache-dtype","fp8"',
}
"""The examples of their table; `models` has none of its own."""

COMMANDS = re.findall(r"```bash\n(curl .*?)```", PAGE.read_text(), re.DOTALL)
ROWS = dict(re.findall(r"^\| `(\w+)` \| .* \| `(.*)` \|$", PAGE.read_text(), re.MULTILINE))

Shell = Callable[[str], Awaitable[Any]]


@pytest.fixture
async def node() -> AsyncIterator[FakeMlNode]:
    async with FakeMlNode.running() as node:
        yield node


@pytest.fixture
async def shell(node: FakeMlNode, tmp_path: Path) -> AsyncIterator[Shell]:
    """Runs a printed command, with its placeholders filled in as a host would, and gives the JSON of the answer."""
    chain = FakeChain(models=[Model(id=QWQ, model_args=["--quantization", "fp8", "--kv-cache-dtype", "fp8"])])
    async with (
        host(chain, FakePhases(chain), tmp_path) as one,
        serving(admin_app(one.settings, one.identity, chain, one.fleet)) as url,
    ):
        filled = {
            PRINTED: url,
            "{id}": "node1",
            "<unique_id>": "node1",
            "<your_inference_node_static_ip>": "127.0.0.1",
            "<inference_port>": str(node.port),
            "<poc_port>": str(node.port),
            "<max_concurrent>": ROWS["max_concurrent"],
            "<model_name>": ROWS["model_name"],
            "<model_args>": ROWS["model_args"],
        }

        async def run(command: str) -> Any:
            for name, value in filled.items():
                command = command.replace(name, value)
            assert "<" not in command, "a placeholder is not explained"
            process = await asyncio.create_subprocess_exec(
                "bash", "-c", command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
            )
            out, err = await process.communicate()
            assert process.returncode == 0, err.decode()
            return json.loads(out)

        yield run


def command(start: str) -> str:
    """The one command of the page that begins so."""
    [found] = [each for each in COMMANDS if each.startswith(start)]
    return str(found)


async def test_the_commands_in_the_order_of_the_page(shell: Shell, node: FakeMlNode) -> None:
    assert len(COMMANDS) == 7
    added = await shell(command(f"curl -X POST {PRINTED}/admin/v1/nodes \\"))
    assert (added["id"], added["host"], added["inference_port"], added["poc_port"]) == (
        "node1",
        "127.0.0.1",
        node.port,
        node.port,
    )
    assert added["models"] == {QWQ: {"args": ["--quantization", "fp8", "--kv-cache-dtype", "fp8"]}}
    assert added["max_concurrent"] == 500
    [again] = await shell(command(f"curl -X POST {PRINTED}/admin/v1/nodes/batch"))
    assert again["models"] == {QWQ: {"args": []}}
    [listed] = await shell(command(f"curl -X GET {PRINTED}/admin/v1/nodes"))
    assert (listed["node"]["id"], listed["node"]["node_num"]) == ("node1", 1)
    assert set(listed["state"]) >= {"intended_status", "current_status", "failure_reason", "admin_state"}
    changed = await shell(command("curl -X PUT"))
    assert changed == again
    for action in ("disable", "enable"):
        told = await shell(command(f'curl -X POST "{PRINTED}/admin/v1/nodes/{{id}}/{action}"'))
        assert told == {"message": f"node {action}d successfully", "node_id": "node1"}
    remove = command("curl -X DELETE")
    assert await shell(remove) is True
    assert await shell(remove) is False
    assert await shell(command("curl -X GET")) == []


def test_the_published_lines_stand_on_the_page_to_the_letter() -> None:
    assert set(PUBLISHED_COMMANDS) <= set(COMMANDS)


def test_the_table_has_the_eight_parameters_with_the_published_examples() -> None:
    expected = "id host inference_port poc_port max_concurrent models model_name model_args"
    assert list(ROWS) == expected.split()
    assert PUBLISHED_EXAMPLES.items() <= ROWS.items()


def example(name: str) -> Any:
    """An example of the table as the value of its field."""
    text = ROWS[name]
    return json.loads(text) if text[0] in "{0123456789" else text


def test_the_examples_of_the_table_make_a_node() -> None:
    fields = ("id", "host", "inference_port", "poc_port", "max_concurrent", "models")
    node = NodeDeclaration.parse({name: example(name) for name in fields})
    assert (node.management_url, node.inference_url) == ("http://10.0.0.5:8000", "http://10.0.0.5:5000")
    assert (node.id, node.max_concurrent, list(node.models)) == ("node1", 500, [example("model_name")])


@pytest.mark.parametrize(
    ("host", "management"),
    [
        ("10.0.0.5", "http://10.0.0.5:8000"),
        ("http://10.0.0.5", "http://10.0.0.5:8000"),
        ("https://gpu1.example", "https://gpu1.example:8000"),
        ("inference", "http://inference:8000"),
    ],
)
def test_a_host_is_an_address_a_url_or_the_name_of_a_container(host: str, management: str) -> None:
    declared = {name: example(name) for name in ("id", "inference_port", "poc_port", "max_concurrent", "models")}
    assert NodeDeclaration.parse({**declared, "host": host}).management_url == management


@pytest.mark.parametrize(
    ("field", "bad", "told"),
    [
        ("<unique_id>", "", "id: "),
        ("<your_inference_node_static_ip>", "10.0.0.5:8000", "host: "),
        ("<inference_port>", "500000", "inference_port: "),
        ("<poc_port>", '"8000"', "poc_port: "),
        ("<max_concurrent>", "0", "max_concurrent: "),
        ("<model_name>", "Qwen/Nonesuch", "models: "),
        ("<model_args>", "5", f"models.{QWQ}.args.0: "),
        ("<model_args>", "no JSON", "the body is no JSON"),
    ],
)
async def test_a_wrong_value_of_each_parameter_is_told_by_its_name(
    shell: Shell, field: str, bad: str, told: str
) -> None:
    refused = await shell(command(f"curl -X POST {PRINTED}/admin/v1/nodes \\").replace(field, bad))
    assert refused["error"].startswith(told), refused
