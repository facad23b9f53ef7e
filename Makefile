# Two commands: `make demo` and `make test`. Both make their own environment in .venv first.

PYTHON ?= python3
CORES ?= $(shell getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2)
BIN := .venv/bin
ENVIRONMENT := .venv/.environment
TEST_ENVIRONMENT := .venv/.test-environment
SLURM_ENVIRONMENT := .venv/.slurm-environment
PIPELINER_ENVIRONMENT := .venv-pipeliner/.environment

.PHONY: demo test test-faults pipeliner bench bench-extract bench-growth bench-overhead bench-selection train profile \
	slurm-check generated format clean-demo help

help:  ## list the commands
	@grep -E '^[a-z-]+:.*##' Makefile | sed 's/:.*##/\t/'

demo: $(ENVIRONMENT)  ## two rounds on 2,000 simulated particles, in ./demo, with a report
	@mkdir -p demo
	@$(BIN)/snakemake --snakefile Snakefile --directory demo --cores $(CORES) --quiet rules host
	@$(BIN)/python scripts/score_demo.py demo

test: $(TEST_ENVIRONMENT)  ## run every test and every check; the summary is the last lines
	@$(BIN)/python -m pytest -n 2 --dist loadfile

test-faults: $(TEST_ENVIRONMENT)  ## kill jobs, queue and disk at every moment, and see that nothing is lost
	@$(BIN)/python -m pytest -n 2 --dist loadfile -m faults

pipeliner: $(PIPELINER_ENVIRONMENT)  ## install the CCP-EM Pipeliner, 0.6 GB, in .venv-pipeliner for the tests that run it

# SETS="d2 c1 PATH:CLASSES:MASK_ANG:SYMMETRY" MODES="em vdam" SEEDS="1 2 3" PEER=none CORES=2 OUT=folder;
# `python -m benchmarks.compare --help` lists the sets and modes. Nothing changes the machine's BLAS variables.
BENCHMARK = PYTHONPATH=scripts:tests $(BIN)/python -m benchmarks
BENCHMARK_OPTIONS = --cores $(CORES) $(if $(MODES),--modes $(MODES)) $(if $(OUT),--out $(OUT))

bench: $(ENVIRONMENT)  ## Winnow and RELION in turn: time, memory, quality (SETS, MODES, SEEDS, PEER, OUT; 10 min)
	@$(BENCHMARK).compare $(BENCHMARK_OPTIONS) $(if $(SETS),--sets $(SETS)) $(if $(SEEDS),--seeds $(SEEDS)) \
		$(if $(PEER),--peer $(PEER))

bench-growth: $(ENVIRONMENT)  ## time and memory as particles and classes grow (MODES, OUT; 5 min)
	@$(BENCHMARK).growth $(BENCHMARK_OPTIONS)

bench-extract: $(ENVIRONMENT)  ## Winnow and relion_preprocess in turn on the same micrographs (OUT; 5 min)
	@$(BENCHMARK).extraction --cores $(CORES) $(if $(OUT),--out $(OUT))

bench-selection: $(ENVIRONMENT)  ## two rounds of choice on fresh sets: score, truth, simpler rules (MAP, OUT; 10 min)
	@PYTHONPATH=scripts:tests $(BIN)/python -m benchmarks.selection $(if $(MAP),--map $(MAP)) $(if $(OUT),--out $(OUT))

# Sets below 1000 are of every sort, those from 1000 on typical; about half an hour of one core, kept in CACHE.
CACHE ?= .training
train: $(TEST_ENVIRONMENT)  ## simulate and classify the sets the class scores are fitted to, and fit them (CACHE)
	@PYTHONPATH=scripts $(BIN)/python -m training.jobs $(CACHE) --seeds 1 46
	@PYTHONPATH=scripts $(BIN)/python -m training.jobs $(CACHE) --seeds 1001 1093
	@PYTHONPATH=scripts $(BIN)/python -m training.fit $(CACHE) --write
	@PYTHONPATH=scripts $(BIN)/python -m training.relion_ranker $(CACHE) --write

bench-overhead: $(TEST_ENVIRONMENT)  ## seconds that Snakemake itself takes for three rounds (QUEUE=yes: on Slurm too)
	@$(BENCHMARK).overhead --cores $(CORES) $(if $(QUEUE),--queue)

profile: $(ENVIRONMENT)  ## time of a job by stage (SETS, MODES, OUT; 5 min)
	@$(BENCHMARK).stages $(BENCHMARK_OPTIONS) $(if $(SETS),--sets $(SETS))

# PROJECT=folder PARTITION=name ACCOUNT=name GPUS=0; the command says what it tries
slurm-check: $(SLURM_ENVIRONMENT)  ## try partition, account, GPU and shared folders of a cluster (1 min)
	@$(BIN)/python scripts/slurm_check.py $(if $(PROJECT),--project $(PROJECT)) $(if $(PARTITION),--partition $(PARTITION)) \
		$(if $(ACCOUNT),--account $(ACCOUNT)) $(if $(GPUS),--gpus $(GPUS))

generated: $(ENVIRONMENT)  ## make the files that repeat what options.py and pyproject.toml say
	@$(BIN)/python -m winnow2d.generate

format: $(TEST_ENVIRONMENT)  ## lay out the code as the checks want it
	@$(BIN)/ruff check --fix scripts tests
	@$(BIN)/ruff format scripts tests
	@$(BIN)/snakefmt Snakefile rules/*.smk

clean-demo:  ## remove the demo project
	rm -rf demo

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Winnow needs Python 3.11 or newer; say e.g. make PYTHON=python3.12 demo"; exit 1; }
	$(PYTHON) -m venv .venv

$(ENVIRONMENT): pyproject.toml | .venv/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

$(TEST_ENVIRONMENT): pyproject.toml | .venv/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[test]'
	@touch $@ $(ENVIRONMENT)

$(SLURM_ENVIRONMENT): pyproject.toml | .venv/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[slurm]'
	@touch $@ $(ENVIRONMENT)

# Not in .venv: what it needs must not decide what we run with.
$(PIPELINER_ENVIRONMENT): tests/interop/pipeliner.txt
	$(PYTHON) -m venv .venv-pipeliner
	.venv-pipeliner/bin/python -m pip install --quiet --disable-pip-version-check --requirement $<
	@touch $@
