# The same lines run here and in CI. `make demo` and `make test` need only Python 3.11, git and make.
PYTHON ?= python3.11
VENV ?= .venv
BIN = $(VENV)/bin
WORKERS ?= $(shell nproc)
DEMO ?= demo
GATE ?= .ci-demo
DEMO_VIDEOS ?= 100
DEMO_REPEATS ?= 10
TOOLS = chromium chromium-driver texlive-latex-recommended texlive-fonts-recommended
OPENCV = $(shell grep '^opencv-python-headless' constraints.txt)

.PHONY: help demo test check format lint types layers tests install tools gate clean

help: ## List the targets
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/'

# mediapipe asks for the OpenCV build that needs a display library; the headless one goes on top.
$(VENV)/.installed: setup.py pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --upgrade pip
	$(BIN)/pip install --constraint constraints.txt --editable '.[all,dev]'
	$(BIN)/pip install --force-reinstall --no-deps $(OPENCV)
	touch $@

install: $(VENV)/.installed ## Create the environment from the pinned versions

demo: install ## Run the main job on the embedded corpus: videos, facetracks, shards, table, figures
	$(BIN)/avbench synth --out $(DEMO)/videos --videos $(DEMO_VIDEOS) --pool test --workers $(WORKERS)
	$(BIN)/avbench build-shards $(DEMO)/videos --out $(DEMO)/shards --dataset demo --split test --workers $(WORKERS)
	$(BIN)/avbench run --method all --shards $(DEMO)/shards --out $(DEMO)/results --windows-per-clip 4 --repeats $(DEMO_REPEATS)
	$(BIN)/avbench plot accuracy $(DEMO)/results --out $(DEMO)/accuracy.png
	$(BIN)/avbench plot similarity --shards $(DEMO)/shards --offset 3 --length 40 --out $(DEMO)/similarity.png
	@echo "Table: $(DEMO)/results/table.md   Figures: $(DEMO)/accuracy.png, $(DEMO)/similarity.png"

test: install check ## Everything CI checks: format, lint, types, layers, tests

check: format lint types layers tests

format: install
	$(BIN)/ruff format --check .
lint: install
	$(BIN)/ruff check .
types: install
	$(BIN)/mypy
layers: install
	$(BIN)/lint-imports
tests: install
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadgroup

gate: install ## Hold the numbers of a small pinned set against leaderboards/pinned
	test -f $(GATE)/shards/dataset.json || $(MAKE) demo DEMO=$(GATE) DEMO_VIDEOS=12 DEMO_REPEATS=2
	$(BIN)/avbench leaderboard check --shards $(GATE)/shards --out $(GATE)/gate

tools: ## Install the browser and LaTeX that some tests drive (Debian, as root)
	apt-get update -qq
	DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $(TOOLS)

clean: ## Remove what the demo wrote
	rm -rf $(DEMO)
