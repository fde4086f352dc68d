# Set-up is made once and remade when the lock changes; everything runs from .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
PEERS := .venv-peers
PEER_READY := $(foreach family,text datatrove data-juicer,$(PEERS)/$(family)/.ready)

RAW ?= corpus/raw
OUT ?= corpus/output
CONFIG ?= default
DATA ?= corpus/labelled
ALSO ?=
INSTALL ?=
REAL ?= ../shared/real
TEXTS ?=
WRITE ?=

.DEFAULT_GOAL := help
.PHONY: help setup corpus test train score bench bench-peers wipe

help: ## List the commands.
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 13

$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "zhcorpus needs Python 3.11 or later; set PYTHON=..."; exit 1; }
	$(PYTHON) -m venv --clear $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@echo "compiling the kernels, once: about half a minute"
	@for format in parquet jsonl; do for config in default fast; do \
	  $(BIN)/zhcorpus run corpus/raw --out $(VENV)/warm --config $$config --format $$format --workers 1 --fresh >$(VENV)/warm.log 2>&1; \
	done; done; rm -rf $(VENV)/warm
	@touch $@

setup: $(READY) ## Make the virtual environment with locked versions.

corpus: $(READY) ## Annotate RAW=corpus/raw into OUT=corpus/output (CONFIG=default or fast).
	@$(BIN)/zhcorpus run "$(RAW)" --out "$(OUT)" --config "$(CONFIG)"; code=$$?; \
	if [ $$code -eq 1 ]; then echo "done; some input was set aside, see $(OUT)/rejected.jsonl"; else exit $$code; fi

test: $(READY) ## Lint, types, all tests, quality floors.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pytest

train: $(READY) ## Fit the classifier on corpus/labelled into build/models (ALSO=DIR adds pages, INSTALL=1 ships it).
	$(BIN)/zhcorpus train classifier --data "$(DATA)" $(if $(ALSO),--also "$(ALSO)") --out build/models/classifier
	$(if $(INSTALL),rm -rf models/classifier && mkdir models/classifier && \
	  cd build/models/classifier && cp classifier.npz meta.json CARD.md "$(CURDIR)/models/classifier")

score: $(READY) ## Score the shipped models against tests/floors.json.
	$(BIN)/zhcorpus score --data corpus/labelled --split test --floors tests/floors.json

bench: $(READY) ## Measure speed and memory (WRITE=1 puts the figures into benchmarks/RESULTS.md).
	$(BIN)/python benchmarks/throughput.py $(if $(WRITE),--write)

$(PEERS)/%/.ready: benchmarks/requirements-peers-%.txt
	$(PYTHON) -m venv --clear $(PEERS)/$*
	$(PEERS)/$*/bin/python -m pip install --quiet --disable-pip-version-check -r $<
	@touch $@

bench-peers: $(READY) $(PEER_READY) ## Measure other programs beside: speed (WRITE=1), extraction (REAL=../shared/real), words.
	$(BIN)/python benchmarks/throughput.py --peers "$(PEERS)" $(if $(WRITE),--write)
	$(if $(wildcard $(REAL)/docs.jsonl),$(BIN)/python benchmarks/extract.py --real "$(REAL)" --peers $(PEERS)/text/bin/python)
	$(BIN)/python benchmarks/segment_tag.py --peers $(PEERS)/text/bin/python $(TEXTS)

wipe: ## Delete what was made: the environment, builds, outputs.
	rm -rf $(VENV) $(PEERS) build corpus/output .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
