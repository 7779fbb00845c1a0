"""What the command line calls messages and queries: `/cosmos.bank.v1beta1.MsgSend` is `bank send`.

The module is the last part of the package without its version; the verb or noun is the name in small letters. Of two versions of
one name the newest has it plain, the others behind it, as in `vote-v1beta1`.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from google.protobuf.descriptor import MethodDescriptor

_VERSION = re.compile(r"v(\d+)(?:(alpha|beta)(\d+))?")
_WORDS = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])|_")
_STAGES = {"alpha": 0, "beta": 1, None: 2}


@dataclass(frozen=True)
class Name:
    """Where a message or query is found."""

    module: str
    plain: str
    """Verb or noun."""
    package: str

    @property
    def version(self) -> str:
        """The package's version; empty if it has none."""
        last = self.package.rpartition(".")[2]
        return last if _VERSION.fullmatch(last) else ""


def of_message(descriptor: Any) -> Name:
    """The name of a transaction's message, by its Descriptor."""
    package = str(descriptor.file.package)
    return Name(_module(package), kebab(descriptor.name.removeprefix("Msg")), package)


def of_query(method: MethodDescriptor) -> Name:
    """The name of a query: its rpc without `Get`, which says nothing of its noun."""
    package = str(method.containing_service.file.package)
    return Name(_module(package), kebab(re.sub("^Get(?=[A-Z])", "", method.name)), package)


def kebab(name: str) -> str:
    """`MsgSubmitPocVotes`, `to_address` and `nodeVersion` as `msg-submit-poc-votes`, `to-address` and `node-version`."""
    return "-".join(word.lower() for word in _WORDS.split(name) if word)


def by_module(named: Iterable[tuple[Name, Any]]) -> Mapping[str, Mapping[str, Any]]:
    """Module to verb or noun to what it stands for, both sorted."""
    found: dict[str, dict[str, Any]] = {}
    for name, value in sorted(named, key=lambda each: (each[0].module, each[0].plain, _age(each[0]))):
        commands = found.setdefault(name.module, {})
        commands[name.plain if name.plain not in commands else f"{name.plain}-{name.version or 'old'}"] = value
    return found


def _module(package: str) -> str:
    parts = package.split(".")
    if _VERSION.fullmatch(parts[-1]):
        parts.pop()
    return parts[-1].replace("_", "-")


def _age(name: Name) -> tuple[int, int, int]:
    """Newest first."""
    match = _VERSION.fullmatch(name.version)
    if match is None:
        return (0, 0, 0)
    return (-int(match[1]), -_STAGES[match[2]], -int(match[3] or 0))
