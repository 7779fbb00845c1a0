"""What a gateway adds to a request, side by side: Pivot's API node, LiteLLM's proxy, and a gateway in Rust.

All in one run, with the same upstream, the same client, on the same machine. Pivot's API node checks and makes all signatures,
keeps artifacts and puts starts and finishes into its outbox on disk; only the chain is held in memory.

    python -m benchmarks.gateway --json --litellm VENV/bin/litellm --crabllm DIR/bin/crabllm
"""
