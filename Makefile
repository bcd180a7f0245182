PYTHON ?= python3
VENV ?= .venv
OUT ?= runs/demo
LOGGERS ?= tensorboard

BIN := $(VENV)/bin
INSTALL = $(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt
comma := ,
EXTRAS := demo$(if $(findstring wandb,$(LOGGERS)),$(comma)wandb)

.PHONY: demo test lint bench screenshots clean

demo: $(VENV)/.installed-$(EXTRAS)
	$(BIN)/loss-logging demo --out $(OUT) --loggers $(LOGGERS)

test: lint
	$(BIN)/python -m pytest --quiet --numprocesses 2 --dist loadgroup

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

bench: $(VENV)/.installed-dev
	$(BIN)/python -m benchmarks.import_time
	$(BIN)/python -m benchmarks.log_batch
	$(BIN)/python -m benchmarks.aggregate
	$(BIN)/python -m benchmarks.captions
	$(BIN)/python -m benchmarks.training_loop
	$(BIN)/python -m benchmarks.check_captions
	$(BIN)/python -m benchmarks.scale
	$(BIN)/python -m benchmarks.large_log
	$(BIN)/python -m benchmarks.ranks
	$(BIN)/python -m benchmarks.trainers
	$(BIN)/python -m benchmarks.ray_engine
	$(BIN)/python -m benchmarks.page
	$(BIN)/python -m benchmarks.detection
	$(BIN)/python -m benchmarks.detection.verdicts
	$(BIN)/python -m benchmarks.evidence

# The pictures in README and docs, as a browser sees the demo.
screenshots: $(VENV)/.installed-dev
	$(BIN)/python -m pytest --quiet tests/html/test_screenshots.py --screenshots docs/images

clean:
	rm -rf $(VENV) build dist runs *.egg-info .hypothesis .mypy_cache .pytest_cache .ruff_cache

# A stamp per set of extras, so that a second call installs nothing.
$(VENV)/.installed-%: setup.cfg pyproject.toml constraints.txt | $(BIN)/python
	$(INSTALL) -e ".[$*]"
	touch "$@"

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)
