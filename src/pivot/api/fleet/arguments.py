"""Arguments with which a model is served: those of its registration on the chain, then the host's own.

What the registration fixes may not be changed by a host, since it changes answers (design, section 7).
"""

from collections.abc import Sequence


class ContradictingArgument(ValueError):
    """A host's argument says something else than the model's registration."""


def combine(registered: Sequence[str], own: Sequence[str]) -> tuple[str, ...]:
    """The registration's arguments, then the host's whose key is not among them.

    Raises ContradictingArgument when the host gives another value to a key of the registration.
    """
    fixed = dict(_pairs(registered))
    additional: list[str] = []
    for key, values in _pairs(own):
        if key not in fixed:
            additional += [key, *values]
        elif values != fixed[key]:
            wanted = " ".join([key, *fixed[key]])
            raise ContradictingArgument(f"{' '.join([key, *values])!r}: the model's registration says {wanted!r}")
    flat = [token for key, values in _pairs(registered) for token in (key, *values)]
    return (*flat, *additional)


def _pairs(arguments: Sequence[str]) -> list[tuple[str, tuple[str, ...]]]:
    """Arguments by key: `--key value …`, `--key=value` or a lone `--key`; values without a key stand for themselves."""
    pairs: list[tuple[str, tuple[str, ...]]] = []
    for token in arguments:
        if token.startswith("--"):
            key, equals, value = token.partition("=")
            pairs.append((key, (value,) if equals else ()))
        elif pairs and pairs[-1][0].startswith("--"):
            key, values = pairs.pop()
            pairs.append((key, (*values, token)))
        else:
            pairs.append((token, ()))
    return pairs
