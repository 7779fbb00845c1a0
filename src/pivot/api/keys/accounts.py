"""What one developer's account, which signs its requests itself, may take: requests at a time, and a minute.

It counts for an account only once its signature has been checked: nobody uses up what is another's.
"""

import math
import time
from collections.abc import Callable
from contextlib import AbstractContextManager

from pivot.api.http.errors import TooManyRequests
from pivot.api.keys.shares import Shares
from pivot.api.settings import HttpSettings

MAX_ACCOUNTS = 65_536
"""That are remembered."""


class AccountLimits:
    """The limits of all accounts, as the settings have them at the moment; 0: none."""

    def __init__(self, settings: HttpSettings, monotonic_s: Callable[[], float] = time.monotonic) -> None:
        self._settings = settings
        self._monotonic_s = monotonic_s
        self._shares = Shares(MAX_ACCOUNTS)

    def place(self, address: str) -> AbstractContextManager[None]:
        """One request's place within its account's rate and concurrency. Raises TooManyRequests, which says when to come again."""
        limit, per_minute = self._settings.account_concurrency, self._settings.account_requests_per_minute
        share = self._shares.of(address)
        if limit and share.under_way >= limit:
            raise TooManyRequests(f"{address} may have {limit} requests under way, and has")
        wait_s = share.take(per_minute, self._monotonic_s()) if per_minute else 0.0
        if wait_s > 0:
            sentence = f"{address} may send {per_minute} requests a minute"
            raise TooManyRequests(sentence, retry_after_s=math.ceil(wait_s))
        return share.place()
