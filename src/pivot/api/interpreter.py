"""How Python is set in a process whose loop answers many requests at once, while a thread beside it writes what must last.

Without it a request waits up to 100 ms now and then: for a collection of garbage that looks at everything the node is made of, or
for the thread, which gets its turn every 5 ms only while the loop is busy, several times for each transaction.
"""

import gc
import sys

NEW_OBJECTS = 10_000
"""More objects made than let go before young ones are looked at: more than all requests under way hold."""
TURN_SECONDS = 0.0005
"""How long the loop keeps a thread that wants to go on waiting, and a thread the loop."""


def prepare() -> None:
    """Before the node is made. Holds for the whole process."""
    gc.set_threshold(NEW_OBJECTS)
    sys.setswitchinterval(TURN_SECONDS)


def spare_what_is_there() -> None:
    """Once the node has begun: what it is made of now lives as long as it does, and is never looked at again."""
    gc.collect()
    gc.freeze()


def forget_what_was_spared() -> None:
    """Once the node has ended."""
    gc.unfreeze()
