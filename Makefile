# `make run` and `make test` set up .venv by themselves. Everything else: make help

.DEFAULT_GOAL := help
VENV ?= .venv
PY = $(VENV)/bin/python
NBVAL = --nbval --nbval-current-env --nbval-cell-timeout=600
# Beside the lowest versions the cells run and assert, but are not compared: OpenCV 4 writes the letters
# on a phantom in another face, and with them the last digits of some numbers.
ifdef OLDEST
NBVAL := $(patsubst --nbval,--nbval-lax,$(NBVAL))
# What these versions warn of was mended in later ones, so here no warning is an error. (In GDCM one
# that becomes an error while it is imported ends the process.)
export PYTEST_ADDOPTS := -W default
endif

# `make test` and `make test-slow` run two halves side by side, for they wait much; the report of the
# half with the notebooks comes last. In `make test` these tests go with the notebooks, so that both
# halves take about as long. A test that gets very slow belongs into tests/slow.
BESIDE = tests/test_notebooks.py tests/test_bootstrap.py
OTHERS = tests $(addprefix --ignore=,$(BESIDE))
beside = log=$$(mktemp); $(1) >"$$log" 2>&1 & pid=$$!; \
    trap 'kill $$pid 2>/dev/null; rm -f "$$log"' EXIT; trap 'exit 130' INT TERM; \
    $(2); here=$$?; wait $$pid; there=$$?; cat "$$log"; exit $$((here || there))

# The notebooks of the lesson; those from 10 on are for practitioners, and ALL=1 takes them too. Each
# of them needs a group of packages in pyproject.toml, which learners do without. Copies that somebody
# leaves beside them are no part of either, as in unet_lib/series/plan.py.
named = $(addprefix notebooks/,$(sort $(shell ls notebooks | grep -xE '$(1)_[a-z0-9_]+\.ipynb')))
LESSON := $(call named,0[0-9])
PRACTICE := $(call named,[1-9][0-9])
WAITING = $(strip $(PRACTICE) $(wildcard tests/browser))
GROUPS = batch scale ship publish
READY_ALL = $(addprefix $(VENV)/.ready-,$(GROUPS))
READY_BROWSER = $(addprefix $(VENV)/.ready-,browser site demo) $(READY_ALL)

.PHONY: help run test test-slow test-browser setup lint nbval notebooks bench lab sweep site badges clean

help:  ## this list
	@echo "U-Net Lowered. Targets:"
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-13s%s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo "  PYTHON=python3.12 chooses the Python of a new .venv (3.11 to 3.13); NEWEST=1 or OLDEST=1"
	@echo "  installs the newest or the lowest versions that pyproject.toml allows, not the tested set"

run: $(VENV)/.ready $(if $(ALL),$(READY_ALL))  ## the lesson: make run [PARAMS="a.yaml b.yaml"] [RUN=name] [ALL=1]
	@$(PY) -m unet_lib run $(foreach f,$(PARAMS),--params $(f)) $(if $(RUN),--run $(RUN)) $(if $(ALL),--all)

test: lint  ## what every commit has to pass: lint, unit tests, the lesson
	@$(call beside,$(PY) -m pytest $(NBVAL) $(LESSON) $(BESIDE),$(PY) -m pytest $(OTHERS))

test-slow: $(READY_BROWSER)  ## what needs minutes, root or a browser; notebooks from 10 on
	@$(call beside,$(if $(WAITING),$(PY) -m pytest $(NBVAL) $(WAITING),true),$(call session,tests/slow))

test-browser: $(READY_BROWSER)  ## the series in JupyterLab in a browser; pictures in runs/browser
	@$(call session,tests/browser)

# One session of pytest over a folder that may hold no test, or none that is left to run (pytest's 5).
session = if [ -n "$$(find $(1) -name 'test_*.py' 2>/dev/null)" ]; then \
    $(PY) -m pytest $(1) || [ $$? = 5 ]; else echo "$(1) holds no test"; fi

setup: $(VENV)/.ready  ## make or update .venv

lint: $(VENV)/.ready-dev  ## ruff on code, tests and notebooks
	@$(PY) -m ruff check --no-cache .

nbval: $(VENV)/.ready-dev $(if $(ALL),$(READY_ALL))  ## compare the lesson with its committed outputs; ALL=1
	@$(PY) -m pytest $(NBVAL) $(LESSON) $(if $(ALL),$(PRACTICE))

notebooks: $(VENV)/.ready-dev $(if $(ALL),$(READY_ALL))  ## execute the lesson in place, ready to commit; ALL=1
	@$(PY) tools/maintain.py notebooks $(if $(ALL),--all)

bench: $(VENV)/.ready-batch  ## benchmarks, not part of the tests; run them alone on the machine
	@for f in tests/benchmarks/*.py; do echo "$$f"; $(PY) "$$f" || exit 1; done

# As root, which containers are, Jupyter wants to be told that this is meant. docs/lab makes it show
# Markdown as a page, the contents that it opens and the glossary that the notebooks lead to.
lab: $(VENV)/.ready  ## JupyterLab, on this machine alone, with a token: make lab [LAB_ARGS=--port=9000]
	@$(PY) -m jupyterlab --ip=127.0.0.1 $(if $(filter 0,$(shell id -u)),--allow-root) --notebook-dir=. \
	    --LabApp.app_settings_dir=docs/lab --LabApp.default_url=/lab/tree/docs/index.md $(LAB_ARGS)

sweep: $(VENV)/.ready-batch  ## many runs: make sweep SWEEP=file.yaml [CORES=n] [PROFILE=slurm] [DRY=1]
	@$(PY) -m unet_lib sweep $(SWEEP) $(if $(CORES),--cores $(CORES)) \
	    $(if $(PROFILE),--profile $(PROFILE)) $(if $(DRY),--dry-run)

# The trees between source and page lie beside the site, so that a second call builds what changed.
site: $(VENV)/.ready-site  ## the series as pages to read, in build/site; nothing is executed
	@$(PY) -m sphinx -q -b html -d build/site-trees -c docs . build/site
	@echo "build/site/index.html"

badges: $(VENV)/.ready  ## write the address everywhere: make badges REPOSITORY=owner/name
	@$(PY) tools/maintain.py badges $(REPOSITORY)

clean:  ## remove what was made: .venv, made data sets, runs, caches; never source data
	@for m in data/*/manifest.json; do [ ! -f "$$m" ] || rm -rf "$$(dirname "$$m")"; done
	@rm -rf data/.*.partial data/.*.old data/..?*  # what an interrupted notebook 01 leaves
	rm -rf .venv runs data/phantom-source data/phantom-source-[0-9]* .pytest_cache .ruff_cache \
	    build unet_lowered.egg-info
	@find unet_lib tests tools notebooks conftest.py \( -name __pycache__ -o -name .ipynb_checkpoints \) \
	    -prune -exec rm -rf {} +

# ---------------------------------------------------------------------------- the environment
# The stamps are written last: a half-made .venv is never taken for a whole one. The first says what
# was installed and from which folder: another set, or a project that was moved, is installed anew.

SET = $(if $(OLDEST),oldest,$(if $(NEWEST),newest,tested))
ifneq "$(shell cat $(VENV)/.ready 2>/dev/null)" "$(SET) $(CURDIR)"
.PHONY: $(VENV)/.ready
endif

PROJECT = import tomllib; p = tomllib.load(open("pyproject.toml", "rb"))["project"]; \
    ranges = p["dependencies"] + p["optional-dependencies"]["series"]
LIST_tested = -r requirements.txt
LIST_newest = --upgrade $$($(PY) -c '$(PROJECT); print(*ranges)')
LIST_oldest = $$($(PY) -c '$(PROJECT); print(*(r.replace(">=", "==") for r in ranges))')

$(VENV)/.ready: requirements.txt pyproject.toml
	@if [ ! -f $@ ] || [ ! -x $(PY) ]; then \
	    $(find_python); \
	    echo "Making $(VENV) with $$python ($$version)"; \
	    "$$python" -m venv --clear $(VENV) || exit 1; \
	fi
	@echo "Installing packages (a few minutes the first time)"
	@$(PY) -m pip install -q --disable-pip-version-check $(LIST_$(SET)) -e .
	@echo "$(SET) $(CURDIR)" > $@

$(VENV)/.ready-dev: $(VENV)/.ready
	@$(PY) -m pip install -q --disable-pip-version-check \
	    $$($(PY) -c '$(PROJECT); print(*p["optional-dependencies"]["dev"])')
	@touch $@

$(READY_BROWSER): $(VENV)/.ready-dev
	@$(PY) -m pip install -q --disable-pip-version-check \
	    $$($(PY) -c '$(PROJECT); print(*p["optional-dependencies"]["$(subst .ready-,,$(@F))"])')
	@touch $@

# The first Python that works, is 3.11 to 3.13 (TensorFlow has no wheels beyond) and has venv.
CANDIDATES = $(or $(PYTHON),python3.13 python3.12 python3.11 python3 python)
define find_python
python=; seen=; bare=; \
for p in $(CANDIDATES); do \
    version=$$("$$p" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null) || continue; \
    seen="$$seen $$p=$$version"; \
    case "$$version" in 3.11|3.12|3.13) ;; *) continue ;; esac; \
    if "$$p" -c 'import venv, ensurepip' 2>/dev/null; then python=$$p; break; fi; \
    bare=$$p; \
done; \
if [ -z "$$python" ] && [ -n "$$bare" ]; then \
    echo "make: $$bare has no module venv (or ensurepip). On Debian and Ubuntu: apt install $${bare##*/}-venv" >&2; exit 1; \
elif [ -z "$$python" ]; then \
    echo "make: this needs Python 3.11, 3.12 or 3.13; found:$${seen:- none of $(CANDIDATES)}. Install one, or name it: make PYTHON=/path/to/python3.12 ..." >&2; exit 1; \
fi
endef
