import pytest

from pivot.api.fleet.arguments import ContradictingArgument, combine


def test_the_registrations_arguments_come_first() -> None:
    combined = combine(["--quantization", "fp8"], ["--tensor-parallel-size", "4", "--enable-prefix-caching"])
    assert combined == ("--quantization", "fp8", "--tensor-parallel-size", "4", "--enable-prefix-caching")


def test_the_same_value_from_the_host_is_accepted_once() -> None:
    assert combine(["--quantization", "fp8"], ["--quantization=fp8"]) == ("--quantization", "fp8")


@pytest.mark.parametrize("own", [["--dtype", "bfloat16"], ["--dtype=bfloat16"], ["--dtype"]])
def test_another_value_than_the_registrations_is_refused(own: list[str]) -> None:
    with pytest.raises(ContradictingArgument, match="--dtype float16"):
        combine(["--dtype", "float16"], own)


def test_flags_and_lone_values_keep_their_places() -> None:
    assert combine([], ["first", "--flag", "--list", "a", "b"]) == ("first", "--flag", "--list", "a", "b")
