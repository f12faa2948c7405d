# `make help` lists what there is; everything else is ./manage.py. Needs Python 3.11 or newer, pip and make.

# The distribution's own interpreter where it has this one: it was optimised with a profile, which one that was compiled
# on the machine seldom is, and takes a sixth less for a certificate.
PYTHON ?= $(shell PATH="/usr/bin:$$PATH" command -v python3.11 || command -v python3)
VENV := .venv
PY := $(VENV)/bin/python
hash = $(shell cat $(1) | cksum | tr ' ' '-')
BASE := $(VENV)/.base-$(call hash,requirements/base.txt)
DEV := $(VENV)/.dev-$(call hash,requirements/dev.txt)
# Others that are measured beside the portal have an environment of their own.
BENCH_VENV := .venv-bench
BENCH := $(BENCH_VENV)/.bench-$(call hash,requirements/bench.txt)
PYTEST := $(PY) -m pytest -q
# Two processes; the one that is done first takes from the other, for the longest tests take minutes.
SUITE := $(PYTEST) -n 2 --dist worksteal
# Twenty times the generated cases, where the environment says CI: in the one run of what generates its own.
THOROUGH := $(if $(CI),--hypothesis-profile=thorough)
COVER := --cov --cov-report=
# Being watched costs half as much again, so those tests alone are that show the packages with a threshold.
COVERED := tests/profiles/policy $(addprefix tests/certificates/,x509 services keystore management)
# Stands in for a real installation where only the configuration is judged: no state folder is touched.
LINT_ENV := SECRET_KEY=only-for-the-checks-of-the-deployment-settings-0123456789 SITE_URL=https://pki.example.com DEBUG=false DATABASE_URL=sqlite:///:memory:

.DEFAULT_GOAL := help
.PHONY: help install run dev test lint screenshots chromium programs bench bench-quick bench-regression bench-programs image

help:
	@echo "make run          install what is needed, prepare the database, serve (HOST, PORT and the rest: README.md)"
	@echo "make install      only install what the portal needs, into $(VENV)"
	@echo "make test         lint, then every test on SQLite and PostgreSQL, then the pages in Chromium"
	@echo "make lint         format, lint, import contracts, types, deployment checks"
	@echo "make screenshots  pictures of every page into build/screenshots, or into DIR=..."
	@echo "make bench        the portal against its goals and others, into docs/benchmarks.md; more than half an hour"
	@echo "make bench-quick  the same of a few goals with fewer rows, in three minutes"
	@echo "make bench-regression  what a call costs, against the commit before; half a minute"
	@echo "make image        the container image, built and tried without a Docker engine; as root, some minutes"
	@echo "make dev          only install what the tests need, too"

install: $(BASE)

dev: $(DEV)

run: $(BASE)
	@$(PY) scripts/require_free_port.py
	@$(PY) manage.py quickstart
	@exec $(PY) -m gunicorn --config gunicorn.conf.py pki_portal.wsgi:application

# In order of speed; the first that fails ends it.
test: $(DEV) chromium programs lint
	rm -f .coverage
	@# What asks for the database runs on both; the rest, which pytest-django keeps away from it, on SQLite only, and so
	@# does what tests/ marks any_database, with its reason; what is marked postgresql, on that alone.
	DATABASE_URL= $(SUITE) -m "not browser and not hypothesis" $(COVER) $(COVERED)
	$(PY) -m coverage report --fail-under=95 --include='profiles/policy/*,certificates/x509/*,certificates/services/*'
	DATABASE_URL= $(SUITE) -m "hypothesis" $(THOROUGH) $(COVERED)
	DATABASE_URL= $(SUITE) -m "not browser" $(COVERED:%=--ignore %)
	$(PY) scripts/with_postgres.py $(SUITE) -m "database and not browser"
	DATABASE_URL= $(SUITE) -m browser tests/browser

lint: $(DEV)
	$(PY) -m ruff format --check .
	$(PY) -m ruff check .
	$(VENV)/bin/lint-imports
	$(LINT_ENV) $(PY) -m mypy
	$(LINT_ENV) $(PY) manage.py check --deploy --fail-level WARNING
	$(LINT_ENV) $(PY) manage.py makemigrations --check --dry-run
	find templates -name '*.html' | xargs $(VENV)/bin/djade --target-version 5.2 --check

bench: $(BENCH) bench-programs
	$(PY) -m tests.bench --write

bench-regression: $(DEV)
	$(PY) -m tests.bench.regression

bench-quick: $(BENCH) bench-programs
	$(PY) -m tests.bench --quick

image:
	@$(call have_programs,buildah=buildah mmdebstrap=mmdebstrap,To build the image one needs,make image)
	scripts/image.sh

screenshots: $(DEV) chromium
	DATABASE_URL= $(PY) -m scripts.screenshots $(DIR)

$(PY):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed: make PYTHON=/path/to/python3.11"; exit 1; }
	@# Debian without python3-venv has no ensurepip: the environment is made bare, and pip works on it from outside.
	@$(PYTHON) -m venv $(VENV) 2>/dev/null || $(PYTHON) -m venv --clear --without-pip $(VENV)

$(BASE): | $(PY)
	@echo "Installing what the portal needs into $(VENV) (once; well under a minute)"
	@$(call pip_install,requirements/base.txt,$(PY))
	@touch $@

$(DEV): $(BASE)
	@echo "Installing what the tests need into $(VENV) (once; about a minute)"
	@$(call pip_install,requirements/dev.txt,$(PY))
	@touch $@

$(BENCH): $(DEV)
	@echo "Installing what the benchmark needs into $(BENCH_VENV) (once; half a minute)"
	@$(PYTHON) -m venv $(BENCH_VENV) 2>/dev/null || $(PYTHON) -m venv --clear --without-pip $(BENCH_VENV)
	@$(call pip_install,requirements/bench.txt,$(BENCH_VENV)/bin/python)
	@touch $@

define pip_install
if $(2) -m pip --version >/dev/null 2>&1; then pip="$(2) -m pip"; \
elif $(PYTHON) -m pip --version >/dev/null 2>&1; then pip="$(PYTHON) -m pip --python $(2)"; \
elif python3 -m pip --version >/dev/null 2>&1; then pip="python3 -m pip --python $(2)"; \
else echo "pip is needed: install python3-pip"; exit 1; fi; \
$$pip install --quiet --disable-pip-version-check --require-hashes --requirement $(1)
endef

chromium: $(DEV)
	@if command -v chromium chromium-browser google-chrome >/dev/null; then :; \
	elif [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium >/dev/null; then :; \
	elif $(PY) -m playwright install --with-deps chromium || $(PY) -m playwright install chromium; then :; \
	else echo "The browser tests need Chromium and none could be had: install the package chromium (Debian: apt-get install chromium), then run make test again."; exit 1; fi

# Programs of others that judge what the portal makes or keep its keys, each with Debian's package.
PROGRAMS := softhsm2-util=softhsm2 nginx=nginx-light certtool=gnutls-bin openssl=openssl vfychain=libnss3-tools redis-server=redis-server \
	haproxy=haproxy caddy=caddy kubectl=kubernetes-client keytool=default-jre-headless

programs:
	@$(call have_programs,$(PROGRAMS),The tests of tokens and with relying parties need,make test)

# Load generator, peer and judge of the benchmark.
bench-programs:
	@$(call have_programs,wrk=wrk cfssl=golang-cfssl openssl=openssl,The benchmark needs,make bench)

define have_programs
missing=""; for each in $(1); do PATH="$$PATH:/usr/sbin" command -v "$${each%=*}" >/dev/null || missing="$$missing $${each#*=}"; done; \
if [ -z "$$missing" ]; then :; \
elif [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && apt-get update -qq && apt-get install -y -qq --no-install-recommends $$missing >/dev/null; then :; \
else echo "$(2)$$missing and could not install them (Debian: apt-get install$$missing); then run $(3) again."; exit 1; fi
endef
