"""What Compose refuses before it looks at anything else: keys that it does not know, values of another kind.

The part of the Compose specification that our files use; what is not in it is refused here, too.
"""

from typing import Any

ANY_NAME = "*"
TEXTS = [str]
_DEVICE = {"driver": str, "count": str, "capabilities": TEXTS}
_SERVICE = {
    "image": str,
    "build": {"context": str, "dockerfile": str, "target": str},
    "user": str,
    "restart": str,
    "init": bool,
    "read_only": bool,
    "tmpfs": TEXTS,
    "cap_drop": TEXTS,
    "cap_add": TEXTS,
    "security_opt": TEXTS,
    "stop_grace_period": str,
    "shm_size": str,
    "logging": {"driver": str, "options": {ANY_NAME: str}},
    "environment": {ANY_NAME: str},
    "volumes": TEXTS,
    "ports": TEXTS,
    "deploy": {"resources": {"reservations": {"devices": [_DEVICE]}}},
}
FILE = {"name": str, "services": {ANY_NAME: _SERVICE}, "volumes": {ANY_NAME: None}}


class InvalidCompose(Exception):
    """Compose would not take the file; the sentence names the place."""


def check(document: Any, shape: Any = FILE, place: str = "") -> None:
    """Raises InvalidCompose. A shape is a type, a list of one shape, or a mapping of shapes by key."""
    if isinstance(shape, dict):
        if not isinstance(document, dict):
            raise InvalidCompose(f"{place or 'the file'} must be a mapping")
        for name, value in document.items():
            if not place and name.startswith("x-"):
                continue  # an extension, which others refer to
            expected = shape[name] if name in shape else shape.get(ANY_NAME, InvalidCompose)
            if expected is InvalidCompose:
                raise InvalidCompose(f"{place}.{name} is no key of Compose")
            check(value, expected, f"{place}.{name}")
    elif isinstance(shape, list):
        if not isinstance(document, list):
            raise InvalidCompose(f"{place} must be a list")
        for number, value in enumerate(document):
            check(value, shape[0], f"{place}[{number}]")
    elif shape is None:
        if document is not None:
            raise InvalidCompose(f"{place} must be empty")
    elif type(document) is not shape:
        raise InvalidCompose(f"{place} must be of type {shape.__name__}, not {document!r}")
