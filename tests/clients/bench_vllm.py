"""vLLM's benchmark client as it comes (`vllm bench serve`): the same arguments, run by an interpreter that has vLLM."""

from vllm.benchmarks.serve import add_cli_args, main
from vllm.utils.argparse_utils import FlexibleArgumentParser

parser = FlexibleArgumentParser()
add_cli_args(parser)
main(parser.parse_args())
