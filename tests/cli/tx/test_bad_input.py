"""Whatever is typed in the place of a value is read, or refused in a sentence; nothing else comes of it."""

import contextlib

import typer
from hypothesis import given
from hypothesis import strategies as st

from pivot.chain.errors import Rejection
from pivot.chain.registry import MESSAGES
from pivot.cli.tx.generated import Form, parameter
from tests.chain.chain import key

HANDLERS = list(MESSAGES.all().values())
SENDER = key("alice").address
TYPED = st.one_of(
    st.text(max_size=40),
    st.sampled_from(
        [
            "{}",
            "[]",
            "[{}]",
            "null",
            "[null]",
            '{"@type": "/a.B"}',
            '{"@type": 1}',
            "[[]]",
            "1e9",
            "-1",
            "9" * 40,
            "0x",
            "1ngonka,",
        ]
    ),
    st.integers().map(str),
)


@given(st.sampled_from(HANDLERS), st.lists(TYPED, max_size=4), st.data())
def test_what_is_typed_is_read_or_refused(handler: object, values: list[str], data: st.DataObject) -> None:
    form = Form(handler)
    options = {
        parameter(field): not field.is_truth and data.draw(st.one_of(st.just(""), TYPED)) for field in form.fields
    }
    for shaped in form.shape.options if form.shape else ():
        options[shaped.name] = data.draw(TYPED) if isinstance(shaped.default, str) else shaped.default
    with contextlib.suppress(typer.BadParameter, typer.Exit):
        message, _ = form.build(SENDER, values, options, str)
        with contextlib.suppress(Rejection):
            handler.check(message)
