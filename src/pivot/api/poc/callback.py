"""Where ML nodes send their results, and the token by which this node knows them."""

import secrets

from pivot.api.private_files import write_private
from pivot.api.settings import ApiSettings

CALLBACK_PATH = "/v1/poc"
TOKEN_FILE = "callback.token"  # noqa: S105  a file's name
TOKEN_BYTES = 32


def callback_url(settings: ApiSettings) -> str:
    """What goes into a sprint's `url`."""
    return settings.api.poc_callback_url.rstrip("/") + CALLBACK_PATH


def callback_token(settings: ApiSettings) -> str:
    """The configured token, else one that is made on the first start and kept, so that a sprint survives a restart."""
    if settings.api.callback_token:
        return settings.api.callback_token
    path = settings.home / TOKEN_FILE
    token = path.read_text().strip() if path.exists() else ""
    if not token:
        token = secrets.token_urlsafe(TOKEN_BYTES)
        write_private(path, token)
    return token
