import pytest

from pivot.api.training.tokens import InvalidToken, Place, read_token, store_token

PLACE = Place(7, "gonka1host/node·1")


def test_a_token_is_read_as_the_place_it_was_made_for() -> None:
    assert read_token("secret", store_token("secret", PLACE)) == PLACE


def test_a_token_of_another_secret_is_refused() -> None:
    with pytest.raises(InvalidToken):
        read_token("secret", store_token("other", PLACE))


@pytest.mark.parametrize(
    "change", [lambda parts: ("8", *parts[1:]), lambda parts: (parts[0], "Z29ua2Exb3RoZXI=", parts[2])]
)
def test_a_token_that_was_bent_to_another_place_is_refused(change: object) -> None:
    parts = change(store_token("secret", PLACE).split("."))  # type: ignore[operator]
    with pytest.raises(InvalidToken):
        read_token("secret", ".".join(parts))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "7",
        "7.x",
        "7.x.y.z",
        "-7.x.y",
        "٣.x.y",
        "7.=.y",
        "7./w==.y",
        "7.é.ü",
        f"{2**64}.eA==.y",
        "9" * 5_000 + ".x.y",
    ],
)
def test_what_is_no_token_is_refused(text: str) -> None:
    with pytest.raises(InvalidToken):
        read_token("secret", text)
