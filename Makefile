# Everything is kept in .venv, pinned by the locks; only the first run of a target reaches the network.
#   PYTHON=python3.13   the interpreter .venv is made of (3.11 or newer)
#   ARGS='-k sink'      for pytest; ARGS='--quick --only acks' for the benches
#   WORKERS=4           test processes of `make test` and `make system`; 0 runs the tests in pytest itself
#   SCALE=0.1           how much of each fault campaign `make chaos` runs
#   DEMO=               lets `make demo` stay up until Ctrl-C
PYTHON ?= python3
DEMO ?= --once
ARGS ?=
WORKERS ?= logical
SCALE ?= 1

BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet
LOCKED := --require-hashes --only-binary :all:
PYTEST := $(BIN)/python -m pytest --numprocesses=$(WORKERS) --dist=worksteal
SYSTEM := tests/e2e tests/bench tests/config/test_live.py \
  tests/docs/test_commands.py tests/docs/test_guides.py tests/docs/test_guide_secrets.py tests/docs/test_guide_proxy.py \
  tests/docs/test_several_machines.py tests/console/chromium \
  tests/cli/test_forward.py tests/cli/test_permissions.py tests/cli/test_tail.py tests/delivery/test_outage.py
CHAOS := tests/chaos
LOCALES := relay/admin/console/locales

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help words demo fakeamo test system chaos bench bench-profile bench-compare lint format lock vendor sbom image clean

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1	/p' $(MAKEFILE_LIST) | expand -t 15

demo: .venv/relay.stamp ## webhooks received, routed, delivered and retried, on loopback only
	@$(BIN)/relay demo $(DEMO)

fakeamo: .venv/dev.stamp ## a double of amoCRM on loopback to point a relay at; ARGS='--help'
	@$(BIN)/python -m tests.fakeamo $(ARGS)

test: lint ## lint, types, and every test but those of `make system` and `make chaos`: eight minutes on two cores
	$(PYTEST) $(addprefix --ignore=,$(SYSTEM) $(CHAOS)) $(ARGS)

system: .venv/dev.stamp ## relays as processes, Prometheus beside one, the tools of `make bench`
	$(PYTEST) $(SYSTEM) $(ARGS)

chaos: .venv/dev.stamp ## the fault campaigns in full: kills, power cuts, failing system calls, hostile peers …
	RELAY_CHAOS_SCALE=$(SCALE) $(BIN)/python -m pytest $(CHAOS) -vv -rs --durations=15 --session-timeout=$$(awk 'BEGIN { print 1800 * $(SCALE) + 1500 }') $(ARGS)

bench: .venv/dev.stamp ## throughput, latency and memory beside bare handlers and a peer: a table and bench.json, twenty minutes
	@$(BIN)/python -m tests.bench $(ARGS)

bench-profile: .venv/dev.stamp ## CPU of a webhook by thread, its waits and calls; CPU profiles, in tests/bench/output/
	@$(BIN)/python -m tests.bench --profile $(ARGS)

bench-compare: .venv/dev.stamp ## CPU of a webhook here and at BASE=<commit>, in turns: seven pairs, four minutes
	@test -n '$(BASE)' || { echo 'say with what to compare: make bench-compare BASE=<commit>' >&2; exit 2; }
	@$(BIN)/python -m tests.bench.compare '$(BASE)' $(ARGS)

lint: .venv/dev.stamp ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: .venv/dev.stamp ## what ruff can fix by itself
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

sbom: .venv/relay.stamp ## software bill of materials with hashes: sbom.json, CycloneDX
	@$(BIN)/python -m venv .venv/sbom
	@.venv/sbom/bin/python -m pip --disable-pip-version-check install --quiet cyclonedx-bom
	@.venv/sbom/bin/cyclonedx-py requirements requirements.txt --pyproject pyproject.toml --output-file sbom.json
	@$(BIN)/python -m tests.console.vendored sbom.json

vendor: .venv/relay.stamp ## the console's libraries, by npm, as vendor.json locks them
	@$(BIN)/python -m tests.console.vendored

image: ## the container image, amocrm-relay
	docker build --tag amocrm-relay .

clean: ## remove .venv and every cache; stores stay
	rm -rf .venv build dist *.egg-info .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find relay tests -name __pycache__ -prune -exec rm -rf {} +

# ---- .venv

.venv/pyvenv.cfg:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo '$(PYTHON) is missing or older than Python 3.11: make PYTHON=/path/to/python3.11 …' >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' || \
	  { echo '$(PYTHON) cannot make a virtual environment; on Debian and Ubuntu: apt install python3-venv' >&2; exit 1; }
	@echo 'Making .venv …'
	@$(PYTHON) -m venv .venv

.venv/relay.stamp: pyproject.toml requirements.txt requirements-build.txt | .venv/pyvenv.cfg
	@echo 'Installing what the relay needs …'
	@$(PIP) $(LOCKED) -r requirements-build.txt -r requirements.txt
	@$(PIP) --no-deps --no-build-isolation --editable .
	@touch $@

.venv/dev.stamp: requirements-dev.txt .venv/relay.stamp
	@echo 'Installing what the tests need …'
	@$(PIP) $(LOCKED) -r requirements-dev.txt
	@touch $@

# ---- locks: one set of versions and hashes for every Python and platform

LOCK := UV_CUSTOM_COMPILE_COMMAND='make lock' $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
  --annotation-style line --upgrade

words: .venv/dev.stamp ## the console's texts: extract them, take new ones up in its catalogs, compile these
	@mkdir -p build
	@$(BIN)/pybabel -q extract --mapping-file pyproject.toml --keywords N_ --keywords NN_:1,2 --no-location --sort-output \
	  --output-file build/console.pot .
	@$(BIN)/pybabel -q update --domain console --input-file build/console.pot --output-dir $(LOCALES) \
	  --no-fuzzy-matching --ignore-obsolete --ignore-pot-creation-date --no-wrap
	@$(BIN)/pybabel -q compile --domain console --directory $(LOCALES)

lock: | .venv/pyvenv.cfg ## pin the newest versions that pyproject.toml allows
	@$(PIP) uv
	@$(BIN)/python -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["build-system"]["requires"])' | \
	  $(LOCK) --output-file requirements-build.txt -
	@$(LOCK) --output-file requirements.txt --extra postgresql pyproject.toml
	@$(LOCK) --output-file requirements-dev.txt --constraint requirements.txt --extra dev pyproject.toml
	@printf 'hookspool==0.2.0\npy-spy\n' | $(LOCK) --output-file tests/bench/requirements.txt -
