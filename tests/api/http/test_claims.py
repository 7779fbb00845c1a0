"""`POST /admin/v1/claim-reward/recover`, in its published shape."""

from typing import Any

import aiohttp
import pytest
from fastapi import FastAPI

from pivot.api.http.claims import serve_claims
from pivot.api.rewards.claimer import Recovery
from tests.api.serving import serving


class FakeClaimer:
    asked: tuple[int | None, bool] | None = None

    async def recover(self, epoch: int | None, *, force: bool) -> Recovery:
        self.asked = epoch, force
        return Recovery(7, "claimed", missed_validations=2, claim_executed=True)


@pytest.mark.parametrize(
    ("body", "asked"),
    [({}, (None, False)), ({"force_claim": True, "epoch_index": 7, "seed": 1}, (7, True))],
)
async def test_a_claim_by_hand_is_told_in_the_published_shape(
    body: dict[str, Any], asked: tuple[int | None, bool]
) -> None:
    app, claimer = FastAPI(), FakeClaimer()
    serve_claims(app, claimer)  # type: ignore[arg-type]  # only what is asked
    async with serving(app) as url, aiohttp.ClientSession() as http:
        async with http.post(f"{url}/admin/v1/claim-reward/recover", json=body) as answer:
            assert answer.status == 200
            assert await answer.json() == {
                "success": True,
                "message": "claimed",
                "epoch_index": 7,
                "missed_validations": 2,
                "already_claimed": False,
                "claim_executed": True,
            }
        async with http.post(f"{url}/admin/v1/claim-reward/recover", json={"epoch_index": -1}) as refused:
            assert refused.status == 422
    assert claimer.asked == asked
