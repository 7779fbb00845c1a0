"""SIGHUP: what can change changes, what cannot is told, and wrong settings change nothing."""

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from pivot.api.reloading import CHANGEABLE, differences, reload
from pivot.api.settings import ApiSettings, HttpSettings, InvalidSettings


@pytest.fixture(autouse=True)
def logs_as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def told(capsys: pytest.CaptureFixture[str]) -> str:
    return capsys.readouterr().err


def test_limits_and_log_level_change_and_the_rest_waits(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = ApiSettings(home=tmp_path, log_level="info")
    fresh = ApiSettings(
        home=tmp_path,
        log_level="debug",
        log_format="text",
        api=HttpSettings(max_request_bytes=5_000, admin_token="secret", public_server_port=1),
    )
    reload(settings, lambda: fresh)
    assert settings.log_level == "debug"
    assert logging.getLogger().level == logging.DEBUG
    assert settings.api.max_request_bytes == 5_000
    assert (settings.api.admin_token, settings.api.public_server_port) == ("", 9000)
    line = told(capsys)
    assert "log_level was info and is debug" in line
    assert "after a restart: api.public_server_port, api.admin_token" in line
    assert "secret" not in line


def test_wrong_settings_change_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    settings = ApiSettings(home=tmp_path)

    def fail() -> ApiSettings:
        raise InvalidSettings("DAPI_LOG_LEVEL (log_level): loud is no level")

    reload(settings, fail)
    assert "loud is no level" in caplog.text
    assert settings == ApiSettings(home=tmp_path)


def test_every_changeable_setting_exists() -> None:
    def places(model: type, within: str = "") -> Iterator[str]:
        for name, field in model.model_fields.items():  # type: ignore[attr-defined]
            if isinstance(field.annotation, type) and hasattr(field.annotation, "model_fields"):
                yield from places(field.annotation, f"{within}{name}.")
            else:
                yield f"{within}{name}"

    assert set(places(ApiSettings)) >= CHANGEABLE
    assert list(differences(ApiSettings(), ApiSettings())) == []
