"""Wrong bearer tokens: counted, told in the log, and taken so slowly from one address that guessing leads nowhere."""

import math
import time
from collections.abc import Callable

import structlog

from pivot.api.http.quotas import network_of
from pivot.api.keys.shares import Shares

ADMIN, CALLBACKS = "admin", "callbacks"
"""Names of the ports that want a token."""
WRONG_TOKENS_PER_MINUTE = 10
"""Of one address; beyond that its tokens are not looked at, right ones neither. A scraper with an old token stays below."""
MAX_ADDRESSES = 4_096
"""That are remembered."""

log = structlog.get_logger(__name__)


class WrongTokens:
    """Of one port."""

    def __init__(self, port: str, monotonic_s: Callable[[], float] = time.monotonic) -> None:
        self.port = port
        self.count = 0
        """Since the process began."""
        self._monotonic_s = monotonic_s
        self._shares = Shares(MAX_ADDRESSES)

    def wait_s(self, peer: str) -> int:
        """After how many seconds a token from this address is looked at; 0: now."""
        wait_s = self._shares.of(network_of(peer)).wait_s(WRONG_TOKENS_PER_MINUTE, self._monotonic_s())
        return math.ceil(wait_s)

    def note(self, peer: str) -> None:
        """A wrong one has come from this address."""
        self.count += 1
        self._shares.of(network_of(peer)).take(WRONG_TOKENS_PER_MINUTE, self._monotonic_s())
        log.warning("wrong_token", port=self.port, peer=peer, so_far=self.count)
