# Two commands matter: `make book` and `make test`. README.md gives the same without make.
PYTHON ?= python3
VENV ?= .venv
PIP_FLAGS ?=
BUILD_FLAGS ?=
PY := $(VENV)/bin/python
XDIST ?= -n 2 --dist loadfile

.DEFAULT_GOAL := help
.NOTPARALLEL:
unexport MAKEFLAGS MFLAGS
.PHONY: help book pdf test lab check bench bench-long assignments grade slides clean

help:
	@echo "make book    execute every chapter, build the site in _build/html and pack it into _build/site.zip"
	@echo "make pdf     the same, and all pages as one PDF, _build/html/book.pdf; needs Chromium"
	@echo "make slides  a deck of slides from each chapter, in _build/slides"
	@echo "make test    ruff, pytest, every chapter as a test, the site with warnings as errors, each page in a browser"
	@echo "make lab     JupyterLab with the chapters as notebooks"
	@echo "make check   30 seconds: versions, device, one tiny wave simulation"
	@echo "make bench   the benchmarks of ten minutes; make bench-long the others; both write bench/results.md"
	@echo "make assignments           what students get, in _build/assignments/release; VARIANT=7 makes a private variant"
	@echo "make grade SUBMITTED=dir   points and feedback; also VARIANT=7, MANUAL=points.csv, OUT=dir (dir-graded)"
	@echo "make clean   remove what was built; the environment in $(VENV) stays"

$(VENV)/.book: requirements.txt pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(PY) -m pip install $(PIP_FLAGS) -r requirements.txt
	touch $@

$(VENV)/.test: requirements.txt requirements-test.txt pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(PY) -m pip install $(PIP_FLAGS) -r requirements-test.txt
	touch $(VENV)/.book $@

$(VENV)/.classroom: requirements-classroom.txt pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(PY) -m pip install $(PIP_FLAGS) -r requirements-classroom.txt
	touch $@

book: $(VENV)/.book
	$(PY) chapters/_ext/build_site.py $(BUILD_FLAGS)

pdf: $(VENV)/.test
	$(PY) chapters/_ext/build_site.py $(BUILD_FLAGS)
	$(PY) chapters/_ext/print_book.py

slides: $(VENV)/.book
	$(PY) chapters/_ext/build_site.py $(BUILD_FLAGS)
	$(PY) chapters/_ext/make_slides.py

test: $(VENV)/.test
	$(PY) -m ruff check .
	$(PY) -m pytest $(XDIST) tests --ignore tests/test_site.py --ignore tests/test_decks.py
	$(PY) -m pytest --nbval-lax --nbval-current-env --nbval-cell-timeout 300 $(XDIST) chapters
	$(PY) chapters/_ext/build_site.py $(BUILD_FLAGS)
	$(PY) chapters/_ext/make_slides.py
	$(PY) -m pytest -n 2 tests/test_site.py
	$(PY) -m pytest -n 2 tests/test_decks.py

lab: $(VENV)/.book
	$(PY) -m jupytext_config --settings-file $(VENV)/etc/jupyter/labconfig/default_setting_overrides.json \
		set-default-viewer markdown
	$(PY) -m jupyterlab chapters

check: $(VENV)/.book
	$(PY) bench/check_setup.py

bench: $(VENV)/.test
	$(PY) bench/run_all.py

bench-long: $(VENV)/.test
	$(PY) bench/run_all.py --long

assignments: $(VENV)/.classroom
	$(PY) chapters/_ext/classroom/release.py $(if $(VARIANT),--variant $(VARIANT))

grade: $(VENV)/.classroom
	@test -n "$(SUBMITTED)" || { echo "say which folder: make grade SUBMITTED=dir"; exit 2; }
	$(PY) chapters/_ext/classroom/grade.py "$(SUBMITTED)" $(if $(OUT),--out "$(OUT)") \
		$(if $(VARIANT),--variant $(VARIANT)) $(if $(MANUAL),--manual "$(MANUAL)")

clean:
	rm -rf _build _vendor .pytest_cache .ruff_cache .hypothesis
