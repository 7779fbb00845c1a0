"""The compose files: what runs, what is published where, and which setting fills it in."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from pivot.api.settings import ApiSettings
from tests.deploy.compose import DEPLOY, MissingVariable, Port, exports, load, mounts, names, ports
from tests.deploy.compose_schema import InvalidCompose, check

JOIN = DEPLOY / "join"
NETWORK_NODE = JOIN / "docker-compose.yml"
PROXY = JOIN / "docker-compose.proxy.yml"
ML_NODE = DEPLOY / "inference" / "docker-compose.yml"
ML_NODE_WITHOUT_GPU = DEPLOY / "inference" / "docker-compose.cpu.yml"
FILES = (NETWORK_NODE, PROXY, ML_NODE, ML_NODE_WITHOUT_GPU)
TEMPLATE = JOIN / "config.env.template"
DOCKERFILE = DEPLOY / "docker" / "Dockerfile"

PUBLISHED_NAMES = frozenset(
    {
        "KEY_NAME",
        "API_PORT",
        "PUBLIC_URL",
        "P2P_EXTERNAL_ADDRESS",
        "NODE_CONFIG",
        "HF_HOME",
        "SEED_API_URL",
        "SEED_NODE_RPC_URL",
        "SEED_NODE_P2P_URL",
        "DAPI_API__POC_CALLBACK_URL",
        "DAPI_CHAIN_NODE__URL",
        "DAPI_CHAIN_NODE__P2P_URL",
        "RPC_SERVER_URL_1",
        "RPC_SERVER_URL_2",
        "TRUSTED_BLOCK_PERIOD",
        "SNAPSHOT_INTERVAL",
        "SNAPSHOT_KEEP_RECENT",
    }
)
FILLED_IN = {
    "KEY_NAME": "host1",
    "PUBLIC_URL": "http://198.51.100.7:8000",
    "P2P_EXTERNAL_ADDRESS": "tcp://198.51.100.7:5000",
    "SEED_API_URL": "http://192.0.2.1:8000",
    "SEED_NODE_RPC_URL": "http://192.0.2.1:26657",
    "SEED_NODE_P2P_URL": "tcp://192.0.2.1:5000",
    "SERVER_NAME": "host1.example",
}
"""What the template leaves to the operator and something needs."""
ALL_INTERFACES, LOOPBACK = "0.0.0.0", "127.0.0.1"
PRIVATE = "10.0.0.5"

Service = dict[str, Any]


def settings(**changed: str) -> dict[str, str]:
    """A filled-in config.env."""
    return {**exports(TEMPLATE), **FILLED_IN, **changed}


def services(path: Path, **changed: str) -> dict[str, Service]:
    found: dict[str, Service] = load(path, settings(**changed))["services"]
    return found


def every_service() -> list[Any]:
    return [
        pytest.param(service, id=f"{path.parent.name}/{path.name}:{name}")
        for path in FILES
        for name, service in services(path).items()
    ]


def test_the_template_has_the_published_variables_each_with_a_line_that_says_what_it_is() -> None:
    assert exports(TEMPLATE).keys() >= PUBLISHED_NAMES
    lines = TEMPLATE.read_text().splitlines()
    for name in exports(TEMPLATE):
        place = next(index for index, line in enumerate(lines) if line.startswith(f"export {name}="))
        assert re.match(r"# \w", lines[place - 1]), f"nothing explains {name}"


def test_the_template_can_be_sourced_by_a_shell() -> None:
    command = f"set -eu; source {TEMPLATE}; echo $API_PORT $NODE_CONFIG"
    told = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True)
    assert (told.stdout, told.stderr) == ("8000 ./node-config.json\n", "")


@pytest.mark.parametrize("path", [NETWORK_NODE, PROXY], ids=lambda path: path.name)
def test_every_variable_of_the_network_node_is_in_the_template(path: Path) -> None:
    assert names(path) <= exports(TEMPLATE).keys()


def test_no_variable_of_the_template_is_idle() -> None:
    assert exports(TEMPLATE).keys() == names(NETWORK_NODE) | names(PROXY)


@pytest.mark.parametrize("name", sorted(set(FILLED_IN) - {"SERVER_NAME"}))
def test_a_missing_value_stops_with_a_sentence_that_names_it(name: str) -> None:
    with pytest.raises(MissingVariable, match=f"set {name} in config.env"):
        services(NETWORK_NODE, **{name: ""})


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_every_key_is_one_of_compose_with_a_value_of_its_kind(path: Path) -> None:
    check(load(path, settings()))


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"read-only": True}, r"\.services\.node\.read-only is no key of Compose"),
        ({"read_only": "true"}, r"\.services\.node\.read_only must be of type bool"),
        ({"environment": {"SNAPSHOTS": True}}, r"\.services\.node\.environment\.SNAPSHOTS must be of type str"),
        ({"ports": "5000:26656"}, r"\.services\.node\.ports must be a list"),
        ({"ports": [5000]}, r"\.services\.node\.ports\[0\] must be of type str"),
        ({"logging": "none"}, r"\.services\.node\.logging must be a mapping"),
    ],
)
def test_what_compose_does_not_take_is_found_without_it(changed: dict[str, object], told: str) -> None:
    document = load(NETWORK_NODE, settings())
    document["services"]["node"] |= changed
    with pytest.raises(InvalidCompose, match=told):
        check(document)


def test_the_database_of_config_env_is_the_api_nodes() -> None:
    url = "postgresql://pivot:p$ssw0rd@10.0.0.6/pivot?sslmode=require"
    told = {name: service.get("environment", {}) for name, service in services(NETWORK_NODE, DATABASE_URL=url).items()}
    assert told["api"]["DATABASE_URL"] == url
    assert not [name for name, environment in told.items() if name != "api" and url in environment.values()]
    assert services(NETWORK_NODE)["api"]["environment"]["DATABASE_URL"] == ""


def test_the_services_are_the_published_ones() -> None:
    assert list(services(NETWORK_NODE)) == ["tmkms", "node", "api", "inference"]
    assert list(services(PROXY)) == ["proxy"]
    assert list(services(ML_NODE)) == list(services(ML_NODE_WITHOUT_GPU)) == ["inference"]


def test_the_network_node_starts_alone() -> None:
    found = services(NETWORK_NODE)
    for name in ("tmkms", "node", "api"):
        assert not set(found[name].get("depends_on", [])) - {"tmkms", "node", "api"}
        assert "deploy" not in found[name], "a network node needs no GPU"


def test_only_p2p_and_the_api_port_are_open_on_all_interfaces() -> None:
    published = [port for service in services(NETWORK_NODE).values() for port in ports(service)]
    assert [port for port in published if port.address == ALL_INTERFACES] == [
        Port(ALL_INTERFACES, "5000", "26656"),
        Port(ALL_INTERFACES, "8000", "9000"),
    ]
    assert {(port.published, port.address) for port in published if port.address != ALL_INTERFACES} == {
        ("26657", LOOPBACK),
        ("9100", LOOPBACK),
        ("9200", LOOPBACK),
        ("9300", LOOPBACK),
    }


def test_the_rpc_is_open_on_all_interfaces_only_if_that_is_asked_for() -> None:
    node = services(NETWORK_NODE, RPC_ADDRESS=ALL_INTERFACES)["node"]
    assert Port(ALL_INTERFACES, "26657", "26657") in ports(node)


def test_the_tls_proxy_opens_its_port_and_the_api_port_can_be_closed() -> None:
    assert ports(services(PROXY)["proxy"]) == [Port(ALL_INTERFACES, "8443", "8443")]
    assert Port(LOOPBACK, "8000", "9000") in ports(services(NETWORK_NODE, API_ADDRESS=LOOPBACK)["api"])


@pytest.mark.parametrize(
    ("variable", "published"), [("RPC_ADDRESS", "26657"), ("CALLBACK_ADDRESS", "9100"), ("ADMIN_ADDRESS", "9200")]
)
def test_a_port_is_published_where_the_operator_says(variable: str, published: str) -> None:
    moved = [port for service in services(NETWORK_NODE, **{variable: PRIVATE}).values() for port in ports(service)]
    assert [port.published for port in moved if port.address == PRIVATE] == [published]


def test_the_api_node_knows_where_its_admin_port_is_published(monkeypatch: pytest.MonkeyPatch) -> None:
    api = services(NETWORK_NODE, ADMIN_ADDRESS=PRIVATE)["api"]
    at = {target: NETWORK_NODE.parent / source for source, target, _ in mounts(api)}
    for name, value in api["environment"].items():
        monkeypatch.setenv(name, value)
    settings_file = Path(api["environment"]["API_CONFIG_PATH"])
    monkeypatch.setenv("API_CONFIG_PATH", str(at[str(settings_file.parent)] / settings_file.name))
    loaded = ApiSettings.load()
    assert loaded.api.admin_published_host == PRIVATE
    assert loaded.api.public_url == FILLED_IN["PUBLIC_URL"]
    assert loaded.chain_node.seed_api_url == FILLED_IN["SEED_API_URL"]
    assert str(loaded.node_config_path) in {target for _, target, _ in mounts(api)}


def test_the_inference_node_beside_a_network_node_is_not_published() -> None:
    assert ports(services(NETWORK_NODE)["inference"]) == []


@pytest.mark.parametrize("path", [ML_NODE, ML_NODE_WITHOUT_GPU], ids=lambda path: path.name)
def test_an_ml_node_of_its_own_is_not_open_to_everybody(path: Path) -> None:
    assert ports(services(path)["inference"]) == [Port(LOOPBACK, "8000", "8080"), Port(LOOPBACK, "5000", "5000")]
    private = services(path, PRIVATE_ADDRESS=PRIVATE, PORT="8001", INFERENCE_PORT="5050")["inference"]
    assert ports(private) == [Port(PRIVATE, "8001", "8080"), Port(PRIVATE, "5050", "5000")]


@pytest.mark.parametrize("path", [NETWORK_NODE, ML_NODE], ids=lambda path: path.parent.name)
def test_the_ml_node_gets_the_gpus_and_reads_the_model_cache(path: Path) -> None:
    inference = services(path, HF_HOME="/srv/hf-cache")["inference"]
    [device] = inference["deploy"]["resources"]["reservations"]["devices"]
    assert (device["driver"], device["count"], device["capabilities"]) == ("nvidia", "all", ["gpu"])
    assert ("/srv/hf-cache", "/cache", "ro") in mounts(inference)
    assert "HF_HUB_CACHE=/cache" in DOCKERFILE.read_text()


@pytest.mark.parametrize("path", [NETWORK_NODE, ML_NODE], ids=lambda path: path.parent.name)
def test_leaves_and_compiled_kernels_outlive_the_ml_nodes_container(path: Path) -> None:
    [(source, _, mode)] = [each for each in mounts(services(path)["inference"]) if each[1] == "/var/lib/pivot"]
    assert mode == "rw"
    assert source in load(path, settings())["volumes"], "a volume: nothing may be run from a tmpfs"


def test_an_ml_node_starts_without_any_variable() -> None:
    sources = {source for source, _, _ in mounts(load(ML_NODE, {})["services"]["inference"])}
    assert sources <= load(ML_NODE, {})["volumes"].keys()
    assert names(ML_NODE_WITHOUT_GPU) <= names(ML_NODE)


@pytest.mark.parametrize("service", every_service())
def test_every_service_runs_without_rights_on_a_root_that_it_cannot_write(service: Service) -> None:
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert "privileged" not in service
    assert "network_mode" not in service
    assert service["restart"] == "unless-stopped"


@pytest.mark.parametrize("service", every_service())
def test_what_a_service_says_cannot_fill_the_disk(service: Service) -> None:
    assert service["logging"] == {"driver": "json-file", "options": {"max-size": "50m", "max-file": "4"}}


@pytest.mark.parametrize("service", every_service())
def test_every_image_is_pinned_by_its_version(service: Service) -> None:
    _, _, version = service["image"].rpartition(":")
    assert re.match(r"\d+\.\d+\.\d+", version), service["image"]


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_what_a_compose_file_names_is_there(path: Path) -> None:
    document = load(path, settings())
    targets = re.findall(r"^FROM \S+ AS (\S+)$", DOCKERFILE.read_text(), re.MULTILINE)
    for service in document["services"].values():
        if build := service.get("build"):
            root = (path.parent / build["context"]).resolve()
            assert (root / build["dockerfile"]) == DOCKERFILE
            assert build["target"] in targets
        for source, target, mode in mounts(service):
            if target.startswith("/etc/"):
                assert (path.parent / source).exists(), source
                assert mode == "ro"
            elif not source.startswith((".", "/")):
                assert source in document["volumes"], source


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_the_compose_tool_takes_the_file(path: Path) -> None:
    compose = compose_tool()
    if compose is None:
        pytest.skip("no compose tool on this machine: neither `docker compose` nor podman-compose")
    files = ["-f", str(NETWORK_NODE), "-f", str(path)] if path == PROXY else ["-f", str(path)]
    environment = {"PATH": "/usr/local/bin:/usr/bin:/bin", **settings()}
    told = subprocess.run([*compose, *files, "config"], env=environment, capture_output=True, text=True, check=False)
    assert told.returncode == 0, told.stderr
    for name in services(path):
        assert f"{name}:" in told.stdout


def compose_tool() -> list[str] | None:
    """`docker compose` with its plugin, else podman-compose, else nothing."""
    if docker := shutil.which("docker"):
        plugin = subprocess.run([docker, "compose", "version"], capture_output=True, check=False)
        if plugin.returncode == 0:
            return [docker, "compose"]
    podman_compose = shutil.which("podman-compose")
    return [podman_compose] if podman_compose else None
