"""Settings that may change while the node runs: read again on SIGHUP, put in place, and told in the log.

The parts of the node hold one settings object and read such a field whenever they need it.
"""

import logging
from collections.abc import Callable, Iterator
from typing import Any

from pydantic import BaseModel

from pivot.api.logs import configure_logs
from pivot.api.settings import ApiSettings, InvalidSettings

CHANGEABLE = frozenset(
    {
        "log_level",
        "log_format",
        "api.max_request_bytes",
        "api.drain_seconds",
        "api.chain_requests_per_minute",
        "api.address_requests_per_minute",
        "api.address_concurrency",
        "api.registrations_per_minute",
        "api.account_requests_per_minute",
        "api.account_concurrency",
        "storage.artifact_epochs",
        "storage.artifact_bytes",
    }
)
"""By the setting's place in the file. None of them is a secret: their values are told."""

_log = logging.getLogger(__name__)


def reload(settings: ApiSettings, load: Callable[[], ApiSettings] = ApiSettings.load) -> None:
    """Read all settings again, and let those in CHANGEABLE take effect. Settings that are wrong change nothing."""
    try:
        fresh = load()
    except InvalidSettings as error:
        _log.error("the settings stay as they were: %s", error)
        return
    changed, later = [], []
    for place, before, now in differences(settings, fresh):
        if place in CHANGEABLE:
            _put(settings, place, now)
            changed.append(f"{place} was {before} and is {now}")
        else:
            later.append(place)
    configure_logs(settings.log_level, settings.log_format)
    _log.warning(
        "settings were read again; changed: %s; after a restart: %s",
        ", ".join(changed) or "nothing",
        ", ".join(later) or "nothing",
    )


def differences(before: BaseModel, now: BaseModel, within: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Place, value before and value now of every setting that differs."""
    for name in type(before).model_fields:
        old, new = getattr(before, name), getattr(now, name)
        if isinstance(old, BaseModel) and isinstance(new, BaseModel):
            yield from differences(old, new, f"{within}{name}.")
        elif old != new:
            yield f"{within}{name}", old, new


def _put(settings: ApiSettings, place: str, value: Any) -> None:
    *sections, field = place.split(".")
    holder: Any = settings
    for section in sections:
        holder = getattr(holder, section)
    setattr(holder, field, value)
