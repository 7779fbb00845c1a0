"""The pages for hosts and developers, and the commands that are printed on them."""

import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.deploy.compose import DEPLOY

DOCS = DEPLOY.parent / "docs"
PAGES = sorted([*DOCS.glob("hosts/*.md"), *DOCS.glob("quickstart-*.md")])
PLACEHOLDER = re.compile(r"<[\w ]+>|\{id\}")
OPTIONS_WITH_A_VALUE = frozenset({"-e", "-v", "--user"})
_FENCE = re.compile(r"^( *)```bash\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Command:
    """One command of a page, as words."""

    page: str
    words: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.page}: {' '.join(self.words)[:80]}"


def blocks_of(page: Path) -> list[str]:
    """The page's shell blocks, without their indentation."""
    found = _FENCE.findall(page.read_text())
    return [re.sub(rf"^{indentation}", "", text, flags=re.MULTILINE) for indentation, text in found]


def commands_of(page: Path) -> Iterator[Command]:
    """Every command in the page's shell blocks; `&&` and the end of a line part them."""
    for block in blocks_of(page):
        text = PLACEHOLDER.sub("1", block).replace("\\\n", " ")
        yield from split(page, text)


def split(page: Path, text: str) -> Iterator[Command]:
    """The commands of a block. A quoted text may go over several lines."""
    pending = ""
    for line in text.splitlines():
        pending = f"{pending}\n{line}" if pending else line
        try:
            words = shlex.split(pending)
        except ValueError:
            continue  # a quotation is open
        pending = ""
        command: list[str] = []
        for word in [*words, "&&"]:
            if word != "&&":
                command.append(word)
            elif command:
                yield Command(page.stem, tuple(command))
                command = []
    assert not pending, f"{page.name}: a quotation does not end"


def without_options(words: Sequence[str]) -> list[str]:
    """What follows the options of `docker compose run`: a service, and what is run in it."""
    rest = list(words)
    while rest[0].startswith("-"):
        del rest[: 2 if rest[0] in OPTIONS_WITH_A_VALUE else 1]
    return rest
