# Everything sets itself up: a bare Debian 12 needs `git make python3.11 python3.11-venv ca-certificates`, no more.
PYTHON := $(firstword $(wildcard /usr/bin/python3.11) python3)
RUN := .venv/bin/python -m
WORKBOOK := .venv/bin/workbook
.DEFAULT_GOAL := help
.PHONY: help setup model browser serving edge sandbox lab course check test validate-all bench bench-serving release scheduler grade docs notebooks lint lock schemas clean

help:  ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' Makefile
setup:  ## the Python environment, .venv
	@$(PYTHON) -m labkit.environments core
model: setup  ## the model that the labs serve, trained once
	@$(RUN) labkit.models
browser: setup  ## Chromium for the tests that look at pages
	@$(PYTHON) -m labkit.debian browser
serving: model  ## frameworks of lab 11-03: make serving FRAMEWORKS="triton bentoml"; alone, it lists them
	@$(RUN) labkit.serving $(FRAMEWORKS)
edge: model  ## LiteRT, the Core ML tools and ONNX's newer exporter for lab 11-06 (2 GB)
	@$(RUN) labkit.environments edge
sandbox: setup  ## bubblewrap, in which learners' code runs when it is graded
	@$(PYTHON) -m labkit.debian sandbox
lab: model  ## your copy of the workbook in JupyterLab
	$(WORKBOOK) lab
course: model sandbox  ## every lab's reference solution, run, judged and graded: build/course/report.html
	$(WORKBOOK) course
check: model  ## one lab's checks: make check LAB=week11/fastapi_server
	$(WORKBOOK) check $(LAB)
test: model browser sandbox  ## the project's own tests
	@$(PYTHON) -m labkit.environments storage cloud
	$(RUN) pytest -n 2 --no-loadscope-reorder --durations=15
validate-all: model browser sandbox  ## everything of everything; takes long
	$(WORKBOOK) validate
	$(WORKBOOK) validate --mutants --sample 40
	$(RUN) pytest -n 2 --no-loadscope-reorder --durations=25 -m ""
bench: model sandbox  ## the project's own benchmarks: make bench PARTS="rate others"
	@$(PYTHON) -m labkit.environments bench
	@$(PYTHON) -m labkit.debian bench
	$(RUN) benchmarks $(PARTS)
bench-serving: model sandbox  ## every serving framework measured: docs/serving-comparison.md
	$(RUN) benchmarks.serving $(ROWS)
release: setup  ## the learners' version: make release ASSIGNMENT=week11_serving
	$(WORKBOOK) release $(ASSIGNMENT)
scheduler: model sandbox  ## a Dask cluster on this machine, for `workbook grade ASSIGNMENT --scheduler`
	$(RUN) autograder.nbgrading.cluster
grade: model sandbox  ## grades what was handed in: make grade ASSIGNMENT=week11_serving
	$(WORKBOOK) grade $(ASSIGNMENT)
docs: model  ## the site: the course as it was last run, and the guides
	@$(RUN) labkit.environments docs
	@$(RUN) autograder.site
	.environments/docs/bin/jupyter-book build --quiet build/site
	@echo "The site is build/site/_build/html/index.html"
notebooks: setup  ## the notebooks, from their sources
	$(RUN) autograder.notebooks
lint: setup  ## ruff and mypy
	$(RUN) ruff check && $(RUN) ruff format --check && $(RUN) mypy
lock: setup  ## the pins, from environments/*.in; all newest: make lock UPGRADE=--upgrade
	$(RUN) labkit.environments lock $(basename $(notdir $(wildcard environments/*.in))) $(UPGRADE)
schemas: setup  ## the embedded cluster's definitions, again: make schemas PROTO=FOLDER
	@$(PYTHON) -m labkit.environments schemas
	$(RUN) labkit.clusters.embedded.data $$(ls -d .environments/schemas/lib/python3*/site-packages/kubernetes_validate/kubernetes-json-schema/v1.37.0-local/_definitions.json) $(PROTO)
clean:  ## what can be made again; environments, your own work and what was handed in stay
	find build -mindepth 1 -maxdepth 1 ! -name nbgrader -exec rm -rf {} +
	rm -rf .pytest_cache .mypy_cache .ruff_cache
