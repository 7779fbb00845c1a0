import tomllib

from hypothesis import given
from hypothesis import strategies as st

from pivot.mlnode.training.toml import to_toml

plain = st.recursive(
    st.booleans()
    | st.integers(-(2**63) + 1, 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8")),
    lambda parts: (
        st.lists(parts, max_size=4) | st.dictionaries(st.text(st.characters(codec="utf-8")), parts, max_size=4)
    ),
    max_leaves=12,
)


@given(st.dictionaries(st.text(st.characters(codec="utf-8")), plain, max_size=5))
def test_what_is_written_is_read_again(config: dict[str, object]) -> None:
    assert tomllib.loads(to_toml(config)) == config  # type: ignore[arg-type]


def test_each_field_is_a_line_that_a_person_can_read() -> None:
    config = {"project": "tiny", "optim": {"lr": 5e-06, "betas": [0.9, 0.95]}}
    assert to_toml(config) == '"project" = "tiny"\n"optim" = {"lr" = 5e-06, "betas" = [0.9, 0.95]}\n'
