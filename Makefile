# The whole developer's interface. Tests: make check (lint, types, what trains nothing: two minutes), make test (all but the
# long ones: ten minutes), make long REAL_SETS=FOLDER (by hand). Else: make demo, make coverage, make packages, make bench,
# make docs, make figures, make guide, make clean; and the parts of the above: make lint, make test-isa, make oldest,
# make attack, make mutants, make real REAL_SETS=FOLDER, make recipes REAL_SETS=FOLDER.
PYTHON ?= python3
BIN := .venv/bin
SEED ?= $(shell date +%Y%m%d)
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2

.PHONY: demo check test long test-isa attack real recipes coverage mutants oldest packages bench lint docs figures guide clean

demo: .venv/.package
	$(BIN)/plausibly compare digits-binary --budget 30s
	$(BIN)/plausibly compare toy-bits --budget 12s

check: lint
	$(PYTEST) tests/unit

test: .venv/.tests
	$(PYTEST)

# hours; its table with date and commit belongs in benchmarks/log.md; REAL_SETS=FOLDER has the real data sets
long: test-isa oldest attack mutants real recipes

attack: .venv/.tests
	$(BIN)/python -m benchmarks.attack

real: .venv/.tests
	@test -d "$(REAL_SETS)" || { echo "make long REAL_SETS=FOLDER, where mnist.npz, debd_nltcs.npz and others are"; exit 1; }
	REAL_SETS=$(REAL_SETS) $(PYTEST) -m real

recipes: real
	for recipe in recipes/*.toml; do $(BIN)/python -m benchmarks.recipe $$recipe --data $(REAL_SETS) || exit 1; done

# the same by the instructions of other processors: none newer than AVX2, and the plainest (docs/decisions/0028)
AVX2 := ATEN_CPU_CAPABILITY=avx2 ONEDNN_MAX_CPU_ISA=AVX2 MKL_ENABLE_INSTRUCTIONS=AVX2 OPENBLAS_CORETYPE=Haswell \
  NUMBA_CPU_NAME=haswell NPY_DISABLE_CPU_FEATURES=X86_V4
PLAIN := ATEN_CPU_CAPABILITY=default ONEDNN_MAX_CPU_ISA=SSE41 MKL_ENABLE_INSTRUCTIONS=SSE4_2 MKL_CBWR=COMPATIBLE \
  OPENBLAS_CORETYPE=Nehalem NUMBA_CPU_NAME=generic NPY_DISABLE_CPU_FEATURES="X86_V3 X86_V4" \
  GLIBC_TUNABLES=glibc.cpu.hwcaps=-AVX2,-FMA

test-isa:
	$(AVX2) $(MAKE) test
	$(PLAIN) $(MAKE) test

# which lines the tests run, and which branches: a table
coverage: .venv/.tests
	$(PYTEST) --cov --cov-report=term

# small faults, drawn by a seed, which the tests should find; those that live are printed
mutants: .venv/.tests
	$(BIN)/python -m benchmarks.mutants --seed $(SEED)

# the oldest versions that pyproject.toml allows, in an environment of their own
oldest:
	$(PYTHON) -m venv --clear build/oldest
	build/oldest/bin/python -m pip install --quiet --disable-pip-version-check uv
	build/oldest/bin/uv pip install --quiet --python build/oldest/bin/python --resolution lowest-direct -e '.[test]'
	OMP_NUM_THREADS=1 build/oldest/bin/python -m pytest -n 2 tests/unit tests/contract

# the wheel and the source archive, each installed where nothing else is, run the demo's main command
packages: .venv/.tests
	rm -rf dist build/packages
	$(BIN)/python -m build
	for each in dist/*; do \
	  $(PYTHON) -m venv --clear build/packages && \
	  build/packages/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt $$each && \
	  (cd build/packages && bin/plausibly compare digits-binary --budget 30s --out $$(basename $$each)) || exit 1; \
	done

bench: .venv/.bench
	$(BIN)/python -m benchmarks.speed

lint: .venv/.tests
	$(BIN)/ruff check plausibly tests benchmarks docs/*.py
	$(BIN)/ruff format --check plausibly tests benchmarks docs/*.py
	$(BIN)/mypy

docs: .venv/.docs
	$(BIN)/python -m sphinx -W -q -b html -d build/doctrees docs build/docs
	@echo "build/docs/index.html"

figures: .venv/.docs
	OMP_NUM_THREADS=1 $(BIN)/python docs/figures.py

guide: .venv/.tests
	OMP_NUM_THREADS=1 $(BIN)/python tests/guide.py
	$(BIN)/python docs/names.py > docs/api.md.new && mv docs/api.md.new docs/api.md

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
	  { echo "plausibly needs $(PYTHON) 3.11 or newer: apt-get install python3, or make PYTHON=python3.12 ..."; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
	  { echo "$(PYTHON) has no venv: apt-get install python3-venv"; exit 1; }
	$(PYTHON) -m venv .venv

.venv/.package: .venv/bin/python pyproject.toml constraints.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e .
	@touch $@

.venv/.tests: .venv/.package
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[test]'
	@touch $@

.venv/.bench: .venv/.package
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[bench]'
	@touch $@

.venv/.docs: .venv/.package
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[docs]'
	@touch $@

clean:
	rm -rf .venv dist build .pytest_cache .mypy_cache .ruff_cache .hypothesis
