# Everything but the benchmarks runs in .venv, which is made on first use. Needed beforehand: Python 3.11 or later, make, a package index.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
BENCH := .venv-bench
INSTALL := $(BIN)/python -m pip install --quiet --constraint constraints.txt

.PHONY: demo test lint bench docs clean

demo: $(VENV)/demo  ## Find a learning rate for a small network on handwritten digits, and draw why, into demo/.
	$(BIN)/lrscout lesson --out demo/lesson
	$(BIN)/lrscout range-test lrscout.examples:digits --repeats 3 --out demo

test: $(VENV)/test lint  ## Lint, run every test, build the wheel and import it from elsewhere.
	$(BIN)/python -m pytest
	$(BIN)/python tests/check_wheel.py

lint: $(VENV)/test  ## Check style and types.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright --pythonpath $(BIN)/python

bench: $(BENCH)/ready  ## Measure, and keep the figures in benchmarks/results/.
	$(BENCH)/bin/python benchmarks/range_test_overhead.py
	$(BENCH)/bin/python benchmarks/suggestion_quality.py
	$(BENCH)/bin/python benchmarks/import_time.py

docs: $(VENV)/docs  ## Build the documentation into site/.
	$(BIN)/mkdocs build --strict

clean:
	rm -rf $(VENV) $(BENCH) build demo dist site

$(VENV)/pip: constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(INSTALL) pip
	touch $@

$(VENV)/demo: $(VENV)/pip pyproject.toml
	$(INSTALL) --editable '.[examples]'
	touch $@

$(VENV)/test: $(VENV)/pip pyproject.toml
	$(INSTALL) --editable '.[all]' --group test
	touch $@

# An environment of its own: beside the torchvision that the tests' fastai brings, Lightning does not import.
$(BENCH)/ready: constraints.txt pyproject.toml
	$(PYTHON) -m venv $(BENCH)
	$(BENCH)/bin/python -m pip install --quiet --constraint constraints.txt pip
	$(BENCH)/bin/python -m pip install --quiet --constraint constraints.txt --editable '.[jax,torch,examples]' --group bench
	touch $@

$(VENV)/docs: $(VENV)/test
	$(INSTALL) --group docs
	touch $@
