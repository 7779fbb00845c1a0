"""Compose files as Compose reads them: variables filled in, ports and mounts taken apart."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
VARIABLE = re.compile(r"\$\{(?P<name>\w+)(?:(?P<how>:[-?])(?P<rest>[^}]*))?\}")
EXPORT = re.compile(r"export (?P<name>\w+)=(?P<value>.*)")


class MissingVariable(Exception):
    """Compose would stop: a variable that must be set is empty. The sentence is the file's own."""


@dataclass(frozen=True)
class Port:
    """A published port: `address:published` of the machine to `target` of the container."""

    address: str
    published: str
    target: str


def load(path: Path, variables: Mapping[str, str]) -> dict[str, Any]:
    """The file with its variables filled in; what they fill stays text. Raises MissingVariable."""
    document: dict[str, Any] = _filled(yaml.safe_load(path.read_text()), variables)
    return document


def fill(text: str, variables: Mapping[str, str]) -> str:
    """Compose's `${NAME}`, `${NAME:-default}` and `${NAME:?sentence}`."""

    def value(found: re.Match[str]) -> str:
        given = variables.get(found["name"], "")
        if given or found["how"] is None:
            return given
        if found["how"] == ":?":
            raise MissingVariable(found["rest"])
        return found["rest"]

    return VARIABLE.sub(value, text)


def names(path: Path) -> set[str]:
    """The variables that a compose file asks for."""
    return {found["name"] for found in VARIABLE.finditer(path.read_text())}


def exports(path: Path) -> dict[str, str]:
    """The variables of a file that a shell sources."""
    found = (EXPORT.fullmatch(line) for line in path.read_text().splitlines())
    return {match["name"]: match["value"] for match in found if match}


def ports(service: Mapping[str, Any]) -> list[Port]:
    """The published ports of a service; without an address they are open on all interfaces."""
    return [_port(text) for text in service.get("ports", [])]


def mounts(service: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """(source, target, mode) of each mount."""
    found = []
    for text in service.get("volumes", []):
        source, target, *mode = text.split(":")
        found.append((source, target, mode[0] if mode else "rw"))
    return found


def _filled(node: Any, variables: Mapping[str, str]) -> Any:
    if isinstance(node, dict):
        return {name: _filled(value, variables) for name, value in node.items()}
    if isinstance(node, list):
        return [_filled(value, variables) for value in node]
    return fill(node, variables) if isinstance(node, str) else node


def _port(text: str) -> Port:
    *address, published, target = text.split(":")
    return Port(":".join(address) or "0.0.0.0", published, target)
