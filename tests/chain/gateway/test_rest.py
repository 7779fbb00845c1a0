"""REST routes from the protos, in the JSON that clients of Cosmos chains read."""

from urllib.parse import quote

import pytest

from pivot.chain.gateway.engine import Engine
from pivot.chain.gateway.methods import Method
from pivot.chain.gateway.rest import MAX_BODY_BYTES, RestApplication
from pivot.chain.gateway.transactions import transaction_methods
from tests.chain.gateway.conftest import HEIGHT, FakeEngine, base64_of, call_asgi

INFERENCE = "/productscience/inference/inference/inference"


@pytest.fixture
def rest(methods: list[Method]) -> RestApplication:
    return RestApplication(methods)


async def test_the_longer_route_wins_over_a_variable(rest: RestApplication) -> None:
    status, document, headers = await call_asgi(
        rest, "GET", "/cosmos/bank/v1beta1/balances/gonka1x3/by_denom?denom=ngonka"
    )
    assert (status, document) == (200, {"balance": {"denom": "ngonka", "amount": "123"}})
    assert headers["x-cosmos-block-height"] == headers["grpc-metadata-x-cosmos-block-height"] == str(HEIGHT)


async def test_pages_are_asked_with_dotted_names(rest: RestApplication) -> None:
    query = "pagination.limit=5&pagination.count_total=true&pagination.key=%2B/8="
    status, document, _ = await call_asgi(rest, "GET", f"/cosmos/bank/v1beta1/balances/gonka1x?{query}")
    assert status == 200
    assert document == {
        "balances": [{"denom": "ngonka", "amount": "5"}],
        "pagination": {"next_key": "+/8=", "total": "1"},
    }


async def test_an_id_with_slashes_comes_percent_encoded(rest: RestApplication) -> None:
    status, document, _ = await call_asgi(rest, "GET", f"{INFERENCE}/a%2Fb%2Bc%3D")
    assert status == 200
    assert document["inference"]["inference_id"] == "a/b+c="
    assert document["inference"]["actual_cost"] == str(2**40)
    assert document["inference"]["status"] == "STARTED"


@pytest.mark.parametrize(
    ("target", "status", "code"),
    [
        (f"{INFERENCE}/unknown", 404, 5),
        (f"{INFERENCE}/bug", 500, 13),
        ("/no/such/route", 501, 12),
        ("/cosmos/bank/v1beta1/balances/a?pagination=1", 400, 3),
        ("/cosmos/bank/v1beta1/balances/a?pagination.limit=many", 400, 3),
        ("/cosmos/bank/v1beta1/balances/a?pagination.limit=-1", 400, 3),
        ("/cosmos/bank/v1beta1/balances/a?pagination.limit.more=1", 400, 3),
        ("/cosmos/bank/v1beta1/balances/a?pagination.key=*", 400, 3),
        ("/cosmos/bank/v1beta1/balances/a?pagination.reverse=perhaps", 400, 3),
        ("/cosmos/bank/v1beta1/balances/a?" + "&".join(["denom=a"] * 101), 400, 3),
    ],
)
async def test_bad_requests_get_the_gateways_error(rest: RestApplication, target: str, status: int, code: int) -> None:
    found, document, _ = await call_asgi(rest, "GET", target)
    assert (found, document["code"]) == (status, code)
    assert document["message"]
    assert document["details"] == []


@pytest.mark.parametrize("name", ["colour", "pagination.colour", "colour.limit"])
async def test_a_name_that_the_request_does_not_have_is_passed_over(rest: RestApplication, name: str) -> None:
    status, document, _ = await call_asgi(rest, "GET", f"/cosmos/bank/v1beta1/balances/a?{name}=1&pagination.limit=7")
    assert (status, document["balances"][0]["amount"]) == (200, "7")


async def test_a_page_of_another_site_may_ask(rest: RestApplication) -> None:
    status, _, headers = await call_asgi(rest, "OPTIONS", "/cosmos/tx/v1beta1/txs")
    assert status == 204
    assert headers["access-control-allow-origin"] == "*"
    assert "POST" in headers["access-control-allow-methods"]
    assert "content-type" in headers["access-control-allow-headers"]


async def test_an_internal_error_tells_nothing_of_the_inside(rest: RestApplication) -> None:
    _, document, _ = await call_asgi(rest, "GET", f"{INFERENCE}/bug")
    assert "KeyError" not in document["message"]


async def test_another_height_than_the_last_is_refused(rest: RestApplication) -> None:
    route = "/cosmos/bank/v1beta1/balances/gonka1x"
    assert (await call_asgi(rest, "GET", route, **{"x-cosmos-block-height": str(HEIGHT)}))[0] == 200
    assert (await call_asgi(rest, "GET", route, **{"x-cosmos-block-height": "3"}))[0] == 400
    for text in ("soon", "-1", "9" * 5_000):
        assert (await call_asgi(rest, "GET", route, **{"x-cosmos-block-height": text}))[0] == 400


@pytest.mark.parametrize("number", ["--1", "²", "1" * 5_000])
async def test_what_only_looks_like_a_number_is_refused(fake_engine: tuple[FakeEngine, Engine], number: str) -> None:
    rest = RestApplication(transaction_methods(fake_engine[1]))
    assert (await call_asgi(rest, "GET", f"/cosmos/tx/v1beta1/txs?query=a=1&order_by={quote(number)}"))[0] == 400


async def test_a_body_is_bounded_and_must_be_json(fake_engine: tuple[FakeEngine, Engine]) -> None:
    fake, engine = fake_engine
    rest = RestApplication(transaction_methods(engine))
    fake.answers["broadcast_tx_sync"] = lambda _: {"code": 0, "hash": "AB", "log": ""}
    body = b'{"tx_bytes": "%s", "mode": "BROADCAST_MODE_SYNC"}' % base64_of(b"tx").encode()
    status, document, _ = await call_asgi(rest, "POST", "/cosmos/tx/v1beta1/txs", body)
    assert (status, document["tx_response"]["txhash"]) == (200, "AB")
    assert (await call_asgi(rest, "POST", "/cosmos/tx/v1beta1/txs", b"{"))[0] == 400
    assert (await call_asgi(rest, "POST", "/cosmos/tx/v1beta1/txs", b" " * (MAX_BODY_BYTES + 1)))[0] == 400
