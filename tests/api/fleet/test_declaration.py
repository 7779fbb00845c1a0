from typing import Any

import pytest

from pivot.api.fleet.declaration import InvalidNode, NodeDeclaration


def declared(**fields: Any) -> dict[str, Any]:
    base = {"id": "node1", "host": "10.0.0.5", "inference_port": 5000, "poc_port": 8080, "max_concurrent": 500}
    return {**base, "models": {"Qwen/QwQ-32B": {"args": ["--quantization", "fp8"]}}, **fields}


@pytest.mark.parametrize(
    ("host", "segment", "url"),
    [
        ("10.0.0.5", "", "http://10.0.0.5:8080"),
        ("inference", "", "http://inference:8080"),
        ("http://10.0.0.5", "", "http://10.0.0.5:8080"),
        ("https://gpu.example.org/", "/node-a/", "https://gpu.example.org:8080/node-a"),
        ("gpu.example.org", "a/b", "http://gpu.example.org:8080/a/b"),
        ("fd00::5", "", "http://[fd00::5]:8080"),
        ("http://[fd00::5]", "", "http://[fd00::5]:8080"),
    ],
)
def test_a_host_may_be_a_name_an_address_or_a_url(host: str, segment: str, url: str) -> None:
    node = NodeDeclaration.parse(declared(host=host, poc_segment=segment))
    assert node.management_url == url
    assert node.inference_url == url.partition(":8080")[0] + ":5000"


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"id": ""}, "id"),
        ({"id": "x" * 65}, "id"),  # the chain would refuse this host's whole declaration
        ({"host": "x" * 257}, "host"),
        ({"models": {f"m{n}": {} for n in range(33)}}, "models"),
        ({"hardware": [{"type": f"t{n}", "count": 1} for n in range(33)]}, "hardware"),
        ({"host": "http://10.0.0.5:8080"}, "host"),
        ({"host": "ftp://10.0.0.5"}, "host"),
        ({"host": "10.0.0.5/path"}, "host"),
        ({"host": "user@10.0.0.5"}, "host"),
        ({"host": "10.0.0.5:x"}, "host"),
        ({"host": "two words"}, "host"),
        ({"host": "http://"}, "host"),
        ({"poc_port": 0}, "poc_port"),
        ({"poc_port": 65536}, "poc_port"),
        ({"inference_port": "5000"}, "inference_port"),
        ({"max_concurrent": 0}, "max_concurrent"),
        ({"models": {"m": {"args": "--x"}}}, "models.m.args"),
        ({"hardware": [{"type": "H100", "count": 0}]}, "hardware.0.count"),
        ({"poc_segment": "a b"}, "poc_segment"),
    ],
)
def test_a_bad_field_is_refused_by_name(fields: dict[str, Any], named: str) -> None:
    with pytest.raises(InvalidNode, match=f"^{named}: "):
        NodeDeclaration.parse(declared(**fields))


def test_what_is_no_object_is_refused() -> None:
    with pytest.raises(InvalidNode):
        NodeDeclaration.parse([])


def test_the_token_is_kept_but_not_shown() -> None:
    node = NodeDeclaration.parse(declared(auth_token="secret"))
    assert "auth_token" not in node.model_dump()
    assert "secret" not in node.model_dump_json()
    assert NodeDeclaration.parse(node.document()) == node
