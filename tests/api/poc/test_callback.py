from pivot.api.poc.callback import callback_token, callback_url
from pivot.api.settings import ApiSettings


def test_the_token_is_made_once_and_kept(settings: ApiSettings) -> None:
    token = callback_token(settings)
    assert len(token) > 40
    assert callback_token(settings) == token
    assert (settings.home / "callback.token").stat().st_mode & 0o777 == 0o600


def test_a_token_of_which_nothing_was_written_is_made_anew(settings: ApiSettings) -> None:
    settings.home.mkdir(parents=True, exist_ok=True)
    (settings.home / "callback.token").touch()
    assert len(callback_token(settings)) > 40


def test_a_configured_token_wins(settings: ApiSettings) -> None:
    settings.api.callback_token = "mine"
    assert callback_token(settings) == "mine"


def test_nodes_are_told_the_public_address_of_the_port(settings: ApiSettings) -> None:
    settings.api.poc_callback_url = "http://10.0.0.1:9100/"
    assert callback_url(settings) == "http://10.0.0.1:9100/v1/poc"
