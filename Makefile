# The commands of the README and of docs/reference/targets.md. Everything runs in .venv, made from constraints.txt when it is missing.
PYTHON ?= python3
TORCH_INDEX ?=
BENCH ?= tokens
MINUTES ?= 40
SEED ?= 1
LEAST ?= 3000
TARGET ?=
REPLAY ?=
DATA ?=
REAL ?= full
K ?=
# tests/real.yaml alone, or with an overlay of its own and a folder of that name.
REAL_OVERLAY = $(if $(filter-out full,$(REAL)),tests/real_$(REAL).yaml)
REAL_RESULTS = real$(if $(REAL_OVERLAY),-$(REAL))
# Two files of bgzip, one behind the other, are a file of both: the genome of the splice task.
PIECES = $(patsubst %,"$(DATA)"/human_grch37_%.fa.gz,chr1_0-1Mb/1_1-1000000 chr20_1-2Mb/20_1000001-2000000)
JOINED = results/$(REAL_RESULTS)/pieces.fa.gz
BIN := $(CURDIR)/.venv/bin
# Without a GPU its jobs are ordinary ones, as many at a time as there are cores.
GPU_JOBS := $(shell command -v nvidia-smi >/dev/null && echo 1 || env -u OMP_NUM_THREADS nproc)
SNAKEMAKE := $(BIN)/snakemake --profile profiles/local --resources gpu=$(GPU_JOBS) downloads=4
# Three files of tests at a time, as some wait: the tests of one file share what its fixtures make. In the order of
# names, so that the files that run the whole workflow come first and the short ones fill the end.
TESTS := $(BIN)/pytest -q --durations=10 \
	--numprocesses 3 --max-worker-restart 0 --dist loadfile --no-loadscope-reorder

export PATH := $(BIN):$(PATH)
# Images of containers often set it; then each of hundreds of jobs would compile the library anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo real env env-dev test test-slow test-slurm lint format docs pictures bench fuzz

# No prerequisite: what it will take is said before anything is installed.
demo:
	@echo "The demo: about 3.5 minutes on two idle cores, half of them to make .venv where it is missing."
	@echo "Disk: 2.5 GB for .venv (with PyTorch's CUDA build several more), 30 MB for results/demo."
	@$(MAKE) --no-print-directory env
	$(SNAKEMAKE) --configfile tests/config.yaml
	@cat results/demo/summary.txt
	@echo "The report: results/demo/report.html"
	@echo "Predictions for intervals of a genome: results/demo/predictions/genes.tsv"

# DATA is a folder laid out as tests/real.yaml reads it. REAL=quick: a few minutes, no promise about scores;
# REAL=tasks: every task of the folder, up to an hour. REAL=methods: every method and network on three short tasks, sized for an hour.
# REAL=splicing: splice sites per base of 27 genes, a few minutes. REAL=embedders: two models that are not ours, with random
# weights, beside ours.
real: env
	@test -n "$(DATA)" || { echo "make real DATA=<folder>: name the folder of real data."; exit 2; }
	@mkdir -p results/$(REAL_RESULTS)
	@cat $(PIECES) | cmp -s - $(JOINED) || cat $(PIECES) > $(JOINED)
	$(if $(filter embedders,$(REAL)),$(BIN)/python tests/random_transformers.py \
		results/real-embedders/weights $(DATA)/human_grch37_chr20_1-2Mb/20_1000001-2000000.fa.gz)
	$(SNAKEMAKE) --configfile tests/real.yaml $(REAL_OVERLAY) \
		--config 'pathvars={"data": "$(DATA)"}'
	@cat results/$(REAL_RESULTS)/summary.txt
	@echo "The report: results/$(REAL_RESULTS)/report.html"

env: .venv/complete

.venv/complete: constraints.txt
	$(PYTHON) -m venv .venv
	$(if $(TORCH_INDEX),$(BIN)/pip install --quiet --index-url $(TORCH_INDEX) torch==2.13.0)
	$(BIN)/pip install --quiet --disable-pip-version-check -r constraints.txt
	touch $@

# What the tests and linters need beside it.
env-dev: .venv/complete-dev

.venv/complete-dev: .venv/complete constraints-dev.txt
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -r constraints-dev.txt
	touch $@

test: env-dev
	$(TESTS) -m "not slow and not slurm"

# K: a part of them, by words of their names, as in `make test-slow K=faults`.
test-slow: env-dev
	$(TESTS) -m slow $(if $(K),-k "$(K)")

# A Slurm of two nodes on this machine: ten minutes to half an hour, most of it waiting. Skipped where no Slurm is installed.
test-slurm: env-dev
	$(BIN)/pytest -q --durations=10 -m slurm tests/slurm

lint: env-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/snakefmt --check Snakefile rules workflow
	$(BIN)/mypy
	$(BIN)/snakemake --lint

format: env-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/snakefmt Snakefile rules workflow

# The pages of docs/reference that follow from the code.
docs: env-dev
	PYTHONPATH=scripts $(BIN)/python docs/write_reference.py

# docs/pictures from the finished demo; needs chromium.
pictures: env-dev
	PYTHONPATH=scripts $(BIN)/python docs/draw_pictures.py results/demo

bench: env-dev
	$(BIN)/python tests/bench/$(BENCH).py --output results/bench/$(BENCH).json

# MINUTES of inputs for every reader, LEAST of each: read right or refused in one sentence. TARGET=vcf,bcf: these
# alone; REPLAY=results/fuzz/<file>: one input again.
fuzz: env-dev
	PYTHONPATH=scripts:tests nice -n 10 $(BIN)/python -m fuzz --minutes $(MINUTES) --seed $(SEED) --least $(LEAST) \
		--target "$(TARGET)" --faults results/fuzz $(if $(REPLAY),--replay "$(REPLAY)")
