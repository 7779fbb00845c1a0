from pivot.mlnode.engines.embedded.completion import Completion
from pivot.mlnode.engines.embedded.served import ServedModel


def grow(served: ServedModel, text: str, *stop: str) -> tuple[list[str], Completion]:
    """Push a text token by token; the pieces that were shown."""
    completion = Completion(served.tokenizer, stop, skip_special=True)
    pieces = []
    for token in served.tokenizer.encode(text):
        pieces.append(completion.push(token))
        if completion.stopped_by:
            break
    else:
        pieces.append(completion.flush())
    return pieces, completion


def test_without_stop_strings_everything_shows_at_once(served: ServedModel) -> None:
    pieces, completion = grow(served, "What is an epoch?")
    assert completion.text == "".join(pieces) == "What is an epoch?"
    assert pieces[-1] == ""
    assert all(pieces[:-1])


def test_a_stop_string_ends_the_text_before_it(served: ServedModel) -> None:
    _, completion = grow(served, "abcQQQdef", "QQ", "zz")
    assert (completion.text, completion.stopped_by) == ("abc", "QQ")
    assert completion.flush() == ""


def test_the_first_stop_string_in_the_text_counts(served: ServedModel) -> None:
    _, completion = grow(served, "one. two! three", "!", ".")
    assert (completion.text, completion.stopped_by) == ("one", ".")


def test_the_beginning_of_a_stop_string_is_held_back_until_it_is_none(served: ServedModel) -> None:
    pieces, completion = grow(served, "xQQyQ", "QQQ")
    assert completion.text == "xQQyQ"
    assert completion.stopped_by is None
    assert "Q" not in "".join(pieces[:2])
    assert pieces[-1] == "Q"


def test_special_tokens_do_not_show(served: ServedModel) -> None:
    assert grow(served, "a<|im_end|>b")[1].text == "ab"
