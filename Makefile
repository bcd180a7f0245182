PYTHON ?= python3
VENV ?= .venv
OUT ?= runs/demo
# Of a release: the oldest Python that the package takes, and the newest.
PYTHONS ?= python3.10 python3.13
LOGGERS ?= tensorboard
# Of the tests: two for each of two cores, as a test often waits for a process or a page.
WORKERS ?= 4

BIN := $(VENV)/bin
comma := ,
EXTRAS := demo$(if $(findstring wandb,$(LOGGERS)),$(comma)wandb)
# The project's own folders, by name: whatever else lies in the root is the user's.
FOLDERS := .ci benchmarks docs examples integrations loss_logging tests

ALL := $(if $(LONG),-m "not real" --hypothesis-profile long)
MEASURED := $(if $(COVERAGE),--cov --cov-config=setup.cfg --cov-report=term:skip-covered)
SIZE_OF_DEMO := 50 packages, 1 to 4 minutes, 0.4 GB to download, 1.5 GB
SIZE_OF_DEV := 180 packages, 3 to 10 minutes, 0.8 GB to download, 3 GB

.PHONY: demo test lint docs browser bench findings screenshots constraints release clean

demo: $(VENV)/.installed-$(EXTRAS)
	$(BIN)/loss-logging demo --out $(OUT) --loggers $(LOGGERS)

# BROWSER=none leaves out the tests that look at pages in a browser, and says so at the end. COVERAGE=yes measures which
# lines ran, in the processes that tests start too; it makes the tests slower. LONG=yes runs the tests marked long, too,
# and properties on forty times as many inputs.
test: lint browser
	$(BIN)/python -m pytest --quiet --numprocesses $(WORKERS) --dist loadgroup $(MEASURED) $(ALL)

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check $(FOLDERS)
	$(BIN)/ruff format --check $(FOLDERS)
	$(BIN)/codespell $(FOLDERS) CHANGELOG.md CONTRIBUTING.md README.md SECURITY.md
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

browser: $(VENV)/.installed-dev
	@$(if $(filter none,$(BROWSER)),,$(BIN)/python tests/browser.py)

bench: $(VENV)/.installed-dev
	$(BIN)/python -m benchmarks.import_time
	$(BIN)/python -m benchmarks.log_batch
	$(BIN)/python -m benchmarks.capture
	$(BIN)/python -m benchmarks.aggregate
	$(BIN)/python -m benchmarks.captions
	$(BIN)/python -m benchmarks.evaluate
	$(BIN)/python -m benchmarks.training_loop
	$(BIN)/python -m benchmarks.reporter
	$(BIN)/python -m benchmarks.paired_forward
	$(BIN)/python -m benchmarks.check_captions
	$(BIN)/python -m benchmarks.scale
	$(BIN)/python -m benchmarks.large_log
	$(BIN)/python -m benchmarks.ranks
	$(BIN)/python -m benchmarks.trainers
	$(BIN)/python -m benchmarks.ray_engine
	$(BIN)/python -m benchmarks.page
	$(BIN)/python -m benchmarks.detection
	$(BIN)/python -m benchmarks.detection.verdicts
	$(BIN)/python -m benchmarks.detection.representations
	$(BIN)/python -m benchmarks.evidence
	$(BIN)/python -m benchmarks.cleaning

# What surprised us in the libraries and formats that we build on: each installs its own packages, and takes a minute.
findings:
	@for finding in findings/*.sh; do echo "== $$finding"; $$finding || exit 1; done

# The pictures in README and docs, as a browser sees the demo.
screenshots: $(VENV)/.installed-dev
	$(BIN)/python -m pytest --quiet tests/pages/test_screenshots.py -m "not real" --screenshots docs/images

# The site, from docs/ and from the code, into site/. A warning is an error.
docs: $(VENV)/.installed-dev
	$(BIN)/python -m sphinx --quiet --fail-on-warning --builder html docs site

# One set of versions for every Python that the package takes. What is pinned stays; UPGRADE=--upgrade takes the newest.
constraints: $(VENV)/.installed-dev
	$(BIN)/uv pip compile --quiet --universal --python-version 3.10 --extra dev --no-annotate $(UPGRADE) \
		--custom-compile-command "make constraints" setup.cfg --output-file constraints.txt

# Wheel and sdist of the commit that is checked out, into dist/, installed and tried on the oldest and the newest Python.
# Before it: make test LONG=yes.
release: $(VENV)/.installed-dev
	$(BIN)/python .ci/release.py --address "$(ADDRESS)" --pythons $(PYTHONS)

clean:
	rm -rf $(VENV) build dist site runs .coverage* *.egg-info .hypothesis .mypy_cache .pytest_cache .ruff_cache

# A stamp per set of extras, so that a second call installs nothing. pip is not quiet: this takes minutes.
$(VENV)/.installed-%: setup.cfg pyproject.toml constraints.txt | $(BIN)/python
	@echo "Installing the extras $* into $(VENV), once: $(if $(findstring dev,$*),$(SIZE_OF_DEV),$(SIZE_OF_DEMO)) on disk,"
	@echo "gigabytes more where pip takes a torch for GPUs. pip says what it is doing:"
	$(BIN)/pip install --disable-pip-version-check -c constraints.txt -e ".[$*]"
	touch "$@"

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)
