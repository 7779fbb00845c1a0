"""SIGHUP: what can change changes, what cannot is told, and wrong settings change nothing."""

import logging
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from pivot.api.reloading import CHANGEABLE, differences, reload
from pivot.api.settings import ApiSettings, HttpSettings, InvalidSettings

SETTINGS_OF_COMPOSE = Path(__file__).parents[2] / "deploy/join/settings/api.yaml"


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


def test_the_file_of_compose_has_every_changeable_setting_as_it_is_by_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    untouched = SETTINGS_OF_COMPOSE.read_text()
    places = set()
    section = ""
    lines = []
    for line in untouched.splitlines():
        if found := re.fullmatch(r"# ((?:  )?)(\w+):( [^#]*)?(#.*)?", line):
            indent, name, value, _ = found.groups()
            section = section if indent else (f"{name}." if not value else "")
            places |= {section + name} if value else set()
            lines.append(line.removeprefix("# "))
    assert places == CHANGEABLE
    written = tmp_path / "api.yaml"
    monkeypatch.setenv("API_CONFIG_PATH", str(written))
    monkeypatch.setenv("DAPI_HOME", str(tmp_path))
    for text in (untouched, "\n".join(lines)):
        written.write_text(text)
        assert list(differences(ApiSettings.load(), ApiSettings(home=tmp_path))) == []


def test_every_changeable_setting_exists() -> None:
    def places(model: type, within: str = "") -> Iterator[str]:
        for name, field in model.model_fields.items():  # type: ignore[attr-defined]
            if isinstance(field.annotation, type) and hasattr(field.annotation, "model_fields"):
                yield from places(field.annotation, f"{within}{name}.")
            else:
                yield f"{within}{name}"

    assert set(places(ApiSettings)) >= CHANGEABLE
    assert list(differences(ApiSettings(), ApiSettings())) == []
