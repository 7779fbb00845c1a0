import pytest

from pivot.protocol.engine_arguments import (
    InvalidArgument,
    check,
    checked,
    enough_logprobs,
    gives_vectors,
    joined,
    split,
)


def test_every_spelling_has_one_meaning() -> None:
    meant = {"--tensor-parallel-size": "2", "--quantization": "fp8", "--enforce-eager": "true"}
    for spelt in (
        ["--tensor-parallel-size", "2", "--quantization", "fp8", "--enforce-eager"],
        ["--tensor-parallel-size=2", "--quantization=fp8", "--enforce-eager"],
        ["--tensor_parallel_size", "2", "-q", "fp8", "--enforce_eager"],
        ["-tp", "2", "-q=fp8", "--enforce-eager"],
    ):
        assert checked(spelt) == meant
    assert joined(meant) == ("--tensor-parallel-size", "2", "--quantization", "fp8", "--enforce-eager")


def test_a_flag_can_be_turned_off() -> None:
    assert checked(["--no-enable-prefix-caching"]) == {"--enable-prefix-caching": "false"}
    assert joined({"--enable-prefix-caching": "false"}) == ("--no-enable-prefix-caching",)


def test_a_negative_number_is_a_value() -> None:
    assert split(["--seed", "-1"]) == {"--seed": "-1"}


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["alone"], "'alone' has no argument's name"),
        (["--max-num-seqs", "4", "5"], "'5' has no argument's name"),
        (["--enforce-eager", "true"], "'true' has no argument's name"),
        (["-tp", "2", "--tensor-parallel-size=4"], "'--tensor-parallel-size' stands there twice"),
        (["--enforce-eager", "--no-enforce-eager"], "'--enforce-eager' stands there twice"),
    ],
)
def test_what_cannot_be_told_apart_is_refused(arguments: list[str], sentence: str) -> None:
    with pytest.raises(InvalidArgument, match=sentence):
        split(arguments)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("--max-num-seqs", "0"),
        ("--max-num-seqs", "many"),
        ("--max-num-seqs", "4k\n"),
        ("--gpu-memory-utilization", "-1"),
        ("--dtype", "../x"),
        ("--dtype", "--host"),
        ("--attention-backend", "package.module/Class"),
        ("--tokenizer", "/etc/passwd"),
        ("--tokenizer", "a/../b"),
        ("--generation-config", "folder"),
        ("--chat-template", "/etc/passwd"),
        ("--chat-template", "-{{x}}"),
        ("--hf-overrides", "{"),
        ("--hf-overrides", "{1}"),
        ("--hf-overrides", "[" * 100_000),
        ("--enforce-eager", "maybe"),
        ("--tensor-parallel-size", ""),
        ("--runner", "draft"),
        ("--convert", "classify"),
    ],
)
def test_a_value_of_another_kind_is_refused_by_name(name: str, value: str) -> None:
    with pytest.raises(InvalidArgument, match=f"{name} cannot be '"):
        check(name, value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("--max-model-len", "32k"),
        ("--gpu-memory-utilization", "0.92"),
        ("--tokenizer", "Qwen/Qwen2.5-7B-Instruct"),
        ("--chat-template", "{% for m in messages %}\n{{ m.content }}{% endfor %}"),
        ("--hf-overrides", '{"rope_scaling": {"factor": 2}}'),
        ("--kv-cache-dtype", "fp8_e4m3"),
    ],
)
def test_usual_values_are_taken(name: str, value: str) -> None:
    check(name, value)


def test_a_long_name_is_shown_in_part() -> None:
    with pytest.raises(InvalidArgument, match="…' is none of") as refused:
        check("--" + "x" * 10_000, "")
    assert len(str(refused.value)) < 200


def test_five_log_probabilities_are_enough() -> None:
    assert [enough_logprobs(value) for value in ("4", "5", "20", "1k", "many", "")] == [
        False,
        True,
        True,
        True,
        False,
        False,
    ]


@pytest.mark.parametrize(
    ("arguments", "vectors"),
    [
        ([], False),
        (["--runner", "pooling"], True),
        (["--runner=pooling", "--convert", "embed"], True),
        (["--convert", "embed"], True),
        (["--runner", "auto", "--convert", "embed"], True),
        (["--runner", "generate"], False),
        (["--runner", "generate", "--convert", "embed"], False),
        (["--max-model-len", "4096"], False),
        (["pooling"], False),
    ],
)
def test_a_model_offers_embeddings_when_its_arguments_say_so(arguments: list[str], *, vectors: bool) -> None:
    assert gives_vectors(arguments) is vectors


def test_the_older_name_of_a_task_is_none_of_the_arguments() -> None:
    """vLLM 0.32, the oldest that serves here, ends its start with it."""
    with pytest.raises(InvalidArgument, match="'--task' is none of the arguments"):
        checked(["--task", "embed"])
