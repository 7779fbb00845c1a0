# Two commands matter: `make devnet` runs a network, `make test` tests it. Both set up what they need.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.PHONY: help setup proto devnet test test-networks test-clients test-api test-simulation test-others test-vllm lock-vllm simulate fuzz check format clean

PYTHON ?= python3
UV_VERSION := 0.13.9
export UV_PYTHON_DOWNLOADS ?= never
export OPENBLAS_NUM_THREADS ?= 1
# Without its compiled files Python takes seconds longer to start each of a network's processes.
unexport PYTHONDONTWRITEBYTECODE
BIN := .venv/bin

help: ## show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup: .venv/.ready src/pivot/protocol/generated/__init__.py ## install everything (into .venv)
	@$(BIN)/python -m pivot.node.engine

.venv/.ready: pyproject.toml uv.lock
	@command -v uv >/dev/null || $(PYTHON) -m pip install --quiet "uv==$(UV_VERSION)"
	@uv sync --frozen --quiet
	@touch $@

src/pivot/protocol/generated/__init__.py: .venv/.ready proto/build.py $(shell find proto -name '*.proto')
	@$(BIN)/python proto/build.py

devnet: setup ## run a whole network on this machine; Ctrl-C stops it, again continues it
	@$(BIN)/pivot devnet up --home .devnet

check: setup ## static checks
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/ruff check --quiet .
	@$(BIN)/python lint/determinism.py
	@$(BIN)/lint-imports --no-logo 2>&1 | tail -n 12
	@$(BIN)/mypy

# Tests of networks wait much and are in a hurry at times; all others run beside them, behind them in the queue for the processor.
test: setup ## everything that CI runs
	@$(MAKE) --no-print-directory check
	@$(BIN)/coverage erase
	@mkdir -p build
	@$(MAKE) --no-print-directory --jobs --keep-going --output-sync test-networks test-clients test-api test-simulation test-others
	@$(BIN)/coverage combine --quiet
	@$(BIN)/coverage report --skip-covered --skip-empty | tail -n 40
	@$(BIN)/coverage report --include='src/pivot/chain/modules/*' --fail-under=100 --format=total >/dev/null || \
		{ echo "chain/modules: every line and every branch is covered, or the build fails"; exit 1; }

# $(1): the tests to run. What passes says so in a line, what fails says all.
define tests
	@$(1) >build/$@.log 2>&1 && echo "$@: $$(tail -n 1 build/$@.log)" || { cat build/$@.log; exit 1; }
endef

test-networks:
	$(call tests,$(BIN)/pytest -m e2e tests/e2e)
test-clients:
	$(call tests,$(BIN)/pytest -m e2e tests --ignore=tests/e2e)
test-api:
	$(call tests,nice -n 10 $(BIN)/coverage run -m pytest -m "not e2e" tests/api)
test-simulation:
	$(call tests,nice -n 10 $(BIN)/coverage run -m pytest -m "not e2e" tests/simulation tests/fuzz)
test-others:
	$(call tests,nice -n 10 $(BIN)/coverage run -m pytest -m "not e2e" tests --ignore=tests/api --ignore=tests/simulation --ignore=tests/fuzz)

test-vllm: setup ## the tests on real vLLM (MLNODE_VLLM_PYTHON=its interpreter), on a CPU
	@test -n "$${MLNODE_VLLM_PYTHON:-}" || { echo "MLNODE_VLLM_PYTHON must name an interpreter that has vLLM (docs/mlnode.md)"; exit 1; }
	@$(BIN)/pytest tests/mlnode/engines/test_contract.py tests/clients/test_openai_on_vllm.py tests/clients/test_vllm_benchmark.py \
		tests/mlnode/engines/vllm/test_sleep.py::test_m_item11_vllms_own_routes_stop_and_wake_its_engine -k "vLLM and not fake" -v

# The platform is the glibc of the image's base. What the lock pins stays; without it, the newest is taken.
lock-vllm: setup ## pin what the CUDA image's vLLM needs (deploy/docker/vllm.lock)
	@uv pip compile --quiet deploy/docker/vllm.in --output-file deploy/docker/vllm.lock --custom-compile-command "make $@" \
		--generate-hashes --only-binary :all: --no-annotate --no-emit-index-url \
		--python-version 3.11 --python-platform x86_64-manylinux_2_36

SEEDS ?= 5
BLOCKS ?= 200
OPS ?= 100
simulate: setup ## the chain under random operations (SEEDS=5 BLOCKS=200 OPS=100), with the shortest failing list
	@$(BIN)/python -m tests.simulation --seeds $(SEEDS) --blocks $(BLOCKS) --ops $(OPS)

CASES ?= 1000000
fuzz: setup ## a chain node's doors under random input (CASES=1000000)
	@$(BIN)/python -m tests.fuzz --cases $(CASES)

format: setup ## put the code in its form
	@$(BIN)/ruff format --quiet .
	@$(BIN)/ruff check --fix --quiet .

clean: ## remove what was built and installed here
	@rm -rf .venv build src/pivot/protocol/generated .coverage* .mypy_cache .ruff_cache .pytest_cache
