# The targets of this repository; README.md, CONTRIBUTING.md and CI use no others.
#
# GNU make 3.81 and a POSIX shell are enough.

PYTHON ?= python3
TEMPLATE = "{{cookiecutter.project_slug}}"
# Bytecode is written even where the environment forbids it: without it every command starts seconds later.
UV = PYTHONDONTWRITEBYTECODE= $(shell command -v uv || echo .venv/bin/uv) pip
# tests/conftest.py says how many workers there are, which tests stay together, and in which order they start.
PYTEST = .venv/bin/python -m pytest --numprocesses auto --dist loadscope --no-loadscope-reorder
LOCK = .venv/bin/uv pip compile requirements/dev.in --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-annotate --custom-compile-command "make lock"

.DEFAULT_GOAL := help
.PHONY: help setup demo example test test-fast test-toolkit lint bench bench-soak bench-training bench-batch bench-monitor bench-stream lock

help:  ## Explain every target
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: .venv/.done  ## Make the environment .venv from requirements/dev.lock

demo: .venv/.done  ## Generate a project, train, deploy, call it and take it down (a minute or two)
	@.venv/bin/python demo.py

example: .venv/.done  ## Generate the project of the example NAME=houses in DEST=folder (build); without NAME: list them
	@.venv/bin/python example.py "$(NAME)" "$(DEST)"

test: .venv/.done  ## Run every test, the slow ones last; those install and run generated projects. ARGS="-k word" selects
	$(PYTEST) $(ARGS)

test-fast: .venv/.done  ## Run the tests that install nothing (half a minute)
	$(PYTEST) -m "not slow" $(ARGS)

test-toolkit: .venv/.done  ## Run tests of the toolkit in a generated project that is kept; ARGS="serving -x" selects
	@.venv/bin/python tests/run_toolkit.py $(ARGS)

lint: .venv/.done  ## Check style (ruff) here and in the template as it stands, and types (mypy) here
	.venv/bin/ruff check --config pyproject.toml . $(TEMPLATE)
	.venv/bin/ruff format --config pyproject.toml --check . $(TEMPLATE)
	.venv/bin/mypy demo.py example.py hooks tests/*.py benchmarks/serving.py benchmarks/soak.py benchmarks/training.py benchmarks/batch.py benchmarks/monitor.py benchmarks/stream.py

bench: .venv/.done  ## Compare the service with what one would otherwise use (a quarter of an hour; needs wrk)
	@.venv/bin/python -m benchmarks.serving $(ARGS)

bench-soak: .venv/.done  ## Send 300,000 requests, bad ones among them: none may be lost, memory may not grow (five minutes)
	@.venv/bin/python -m benchmarks.soak $(ARGS)

bench-training: .venv/.done  ## Seconds and memory of each step of a training on generated rows; ARGS="--rows 5000000" (Linux)
	@.venv/bin/python -m benchmarks.training $(ARGS)

bench-batch: .venv/.done  ## Batch scoring against the bare ONNX model and a plain script; ARGS="--rows 1e5 1e6 1e7" (Linux)
	@.venv/bin/python -m benchmarks.batch $(ARGS)

bench-monitor: .venv/.done  ## Seconds and memory of make monitor, beside a pandas script; ARGS="--rows 1e5 1e6 1e7" (Linux)
	@.venv/bin/python -m benchmarks.monitor $(ARGS)

bench-stream: .venv/.done  ## Compare make stream with a plain consumer loop, and measure its latency (three minutes; Linux)
	@.venv/bin/python -m benchmarks.stream $(ARGS)

lock: .venv/.done  ## Renew requirements/*.lock from requirements/dev.in; UPGRADE=1 takes the newest versions
	@$(LOCK) $(if $(UPGRADE),--upgrade) --output-file requirements/dev.lock
	@echo "uv>=0.5" | $(subst requirements/dev.in,-,$(LOCK)) --constraint requirements/dev.lock --output-file requirements/uv.lock

.venv/.done: requirements/dev.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed, %s is %d.%d. Name another: make setup PYTHON=python3.12" % ((sys.executable,) + sys.version_info[:2]))'
	@echo "Making .venv from requirements/dev.lock (once)"
	@test -x .venv/bin/python || uv venv --quiet --python $(PYTHON) .venv 2>/dev/null || $(PYTHON) -m venv .venv
	@command -v uv >/dev/null || .venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/uv.lock
	@$(UV) install --quiet --python .venv/bin/python --require-hashes --compile-bytecode -r requirements/dev.lock
	@touch $@
