import pytest

from pivot.api.fleet.arguments import ContradictingArgument, combine, give_way, registered_arguments
from pivot.protocol.engine_arguments import ARGUMENTS, InvalidArgument
from pivot.protocol.generated.inference.inference.types_pb2 import Model

FP8 = ["--quantization", "fp8"]


def test_the_registrations_arguments_come_first_and_the_hosts_follow() -> None:
    own = ["--tensor-parallel-size", "4", "--enable-prefix-caching", "--gpu-memory-utilization=0.9"]
    assert combine("m", FP8, own) == (*FP8, *own[:3], "--gpu-memory-utilization", "0.9")


@pytest.mark.parametrize("own", [["--quantization=fp8"], ["-q", "fp8"], [], ["--kv-cache-dtype", "auto"]])
def test_what_holds_anyway_is_accepted_and_said_once(own: list[str]) -> None:
    assert combine("m", FP8, own) == ("--quantization", "fp8")
    assert combine("m", FP8, [*own, "--dtype=float16", "--served-model-name", "m"]) == ("--quantization", "fp8")


@pytest.mark.parametrize(
    ("own", "sentence"),
    [
        (
            ["--dtype", "bfloat16"],
            "'--dtype bfloat16' changes answers: the model's registration says '--dtype float32'",
        ),
        (["--dtype=auto"], "'--dtype auto' changes answers"),
        (["--quantization", "int4"], "'--quantization int4' changes answers: .* has none"),
        (["--kv_cache_dtype=fp8"], "'--kv-cache-dtype fp8' changes answers: .* says '--kv-cache-dtype auto'"),
        (["--max-model-len", "512"], "'--max-model-len 512' changes answers"),
        (["--tokenizer", "other/words"], "'--tokenizer other/words' changes answers"),
        (["--chat-template", "{{ messages }}"], "changes answers"),
        (["--hf-overrides", '{"rope_theta": 1}'], "changes answers"),
        (["--logprobs-mode=processed_logprobs"], "says '--logprobs-mode raw_logprobs'"),
        (["--generation-config", "vllm"], "says '--generation-config auto'"),
        (["--served-model-name", "n"], "says '--served-model-name m'"),
        (["--revision", "main"], "says '--revision 0a1b'"),
        (["--max-logprobs", "4"], "checks of answers need 5 at least"),
    ],
)
def test_what_changes_answers_is_the_registrations_and_refused_by_name(own: list[str], sentence: str) -> None:
    with pytest.raises(ContradictingArgument, match=sentence):
        combine("m", ["--dtype", "float32", "--revision", "0a1b"], own)


def test_enough_log_probabilities_change_no_answers() -> None:
    assert combine("m", [], ["--max-logprobs", "5"]) == ("--max-logprobs", "5")
    with pytest.raises(ContradictingArgument, match="registration says '--max-logprobs 20'"):
        combine("m", ["--max-logprobs", "20"], ["--max-logprobs", "10"])


@pytest.mark.parametrize(
    "own",
    [
        ["--trust-remote-code"],
        ["--trust-remote"],
        ["--model", "/etc"],
        ["--host=0.0.0.0"],
        ["--port", "1"],
        ["--download-dir", "/tmp/x"],
        ["--config", "/tmp/other.yaml"],
        ["--max-num-seqs", "4", "-sc", '{"model": "x"}'],
        ["--hf-overrides.auto-map", "x"],
        ["--middleware", "os.system"],
        ["--enable-log-requests"],
        ["--no-trust-remote-code"],
    ],
)
def test_m_item29_what_loads_code_or_opens_ports_is_refused_by_name(own: list[str]) -> None:
    name = next(token for token in reversed(own) if token.startswith("-")).partition("=")[0]
    with pytest.raises(InvalidArgument, match=f"'{name}' is none of the arguments"):
        combine("m", [], own)


def test_where_answers_stay_the_same_the_hosts_word_counts() -> None:
    assert combine("m", ["--max-num-seqs", "256"], ["--max-num-seqs", "8"]) == ("--max-num-seqs", "8")


def test_m_item32_a_model_is_served_from_the_commit_of_its_registration() -> None:
    assert registered_arguments(Model(id="m", hf_commit="0a1b", model_args=FP8)) == (*FP8, "--revision", "0a1b")
    assert registered_arguments(Model(id="m", hf_commit="0a1b", model_args=["--revision=2"])) == ("--revision=2",)
    assert registered_arguments(Model(id="m")) == ()


def test_a_registration_that_changed_keeps_the_hosts_parallel_sizes() -> None:
    own = ["--quantization", "int4", "-tp", "2", "--model", "x", "--max-num-seqs", "many"]
    assert give_way(FP8, own) == (*FP8, "--tensor-parallel-size", "2")
    assert give_way(FP8, ["alone"]) == tuple(FP8)


def test_no_argument_is_both_free_and_a_way_to_other_code_or_weights() -> None:
    free = {name for name, argument in ARGUMENTS.items() if not argument.changes_answers}
    assert not {name for name in free if any(word in name for word in ("model", "code", "dir", "path", "host", "port"))}
