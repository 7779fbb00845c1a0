"""The network of the request path's tests, for the tests of its HTTP side; an admin port that is open to this machine."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from pivot.api.http.admin import admin_app
from pivot.api.http.api_keys import serve_api_keys
from pivot.api.http.claims import serve_claims
from pivot.api.keys.issued import IssuedKeys
from tests.api.fleet.chain import FakeChain, FakePhases
from tests.api.inference.conftest import network
from tests.api.poc.host import host
from tests.api.security.ports import NoClaims
from tests.api.serving import serving

__all__ = ["network"]


@pytest.fixture
async def admin(tmp_path: Path) -> AsyncIterator[str]:
    """Its URL."""
    chain = FakeChain()
    async with host(chain, FakePhases(chain), tmp_path) as one:
        app = admin_app(one.settings, one.identity, one.chain, one.fleet)
        serve_api_keys(app, IssuedKeys(one.database))
        serve_claims(app, NoClaims())  # type: ignore[arg-type]  # all that is asked
        async with serving(app) as url:
            yield url
