"""Text that people read in one line, the same on every machine."""

import re

_PRINTABLE = re.compile(r"[ -~]*")


def is_printable(text: str) -> bool:
    """Whether the text has printable ASCII characters alone; an empty one has.

    Which others can be printed depends on Python's table of Unicode: a newer one knows more, and nodes would disagree.
    """
    return _PRINTABLE.fullmatch(text) is not None
