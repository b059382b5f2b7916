# Everything that is done often. Needs python3 (3.11 or newer, with venv and pip) and make; nothing else.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

SECONDS ?= 0
DEVICES ?= 100
SEED ?= 5
CASES ?= 500
VENV := .venv
IN := $(VENV)/bin
CODE := pswd_edge simulators tests

# make install
DESTDIR ?=
PREFIX ?= /opt/pswd-edge
SYSCONFDIR ?= /etc/pswd-edge
UNITDIR ?= /usr/local/lib/systemd/system
SYSUSERSDIR ?= /usr/local/lib/sysusers.d
INSTALL_VENV ?= 1
UNITS := pswd-edge.target pswd-edge-control.service pswd-edge-gateway.service
EXAMPLES := pswd-edge-control.service.d/field-networks.conf.example pswd-edge-gateway.service.d/networks.conf.example

# PYTHON=… names the interpreter; otherwise the first that is new enough and can make an environment.
define find_python
for python in $(PYTHON) python3 python3.11 python3.12 python3.13; do \
	"$$python" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && break; \
	python=; \
done; \
test -n "$$python" || { echo "No Python 3.11 or newer with venv and pip was found." \
	"On Debian or Ubuntu: apt-get install python3 python3-venv. Or: make PYTHON=/path/to/python3.11 $@" >&2; exit 1; }
endef

# Says what it does in one line; shows pip's words only where it fails.
define pip_install
said=$$($(1)/bin/python -m pip install --quiet --disable-pip-version-check $(2) 2>&1) \
	|| { printf '%s\n' "$$said" "pip failed; the lines above say why. Try again with the same make command." >&2; exit 1; }
endef

.PHONY: help
help: ## show this page
	@echo "pswd-edge: what make can do"
	@echo
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))
	@echo
	@echo "  make demo SECONDS=150     ends by itself, its last line is a JSON summary"
	@echo "  make install DESTDIR=/tmp/stage INSTALL_VENV=0     look at what would be installed"

$(VENV)/.run: requirements.lock pyproject.toml
	@$(find_python); \
	echo "making $(VENV) with $$("$$python" --version), a minute the first time"; \
	test -x $(IN)/python && $(IN)/python -c 'import pip' 2>/dev/null || "$$python" -m venv --clear $(VENV)
	@$(call pip_install,$(VENV),--require-hashes -r requirements.lock)
	@$(call pip_install,$(VENV),--no-deps --no-build-isolation --editable .)
	@touch $@

$(VENV)/.dev: $(VENV)/.run requirements-dev.lock
	@echo "adding the tools for tests and checks"
	@$(call pip_install,$(VENV),--require-hashes -r requirements-dev.lock)
	@touch $@

.PHONY: venv
venv: $(VENV)/.dev ## make the environment in .venv from the locked versions

# Once a checkout. What cannot be installed is said, and the tests that need it are skipped with the reason.
$(VENV)/.system: $(VENV)/.run
	@missing=; PATH=$$PATH:/usr/sbin; \
	command -v mosquitto >/dev/null && command -v mosquitto_passwd >/dev/null || missing="mosquitto"; \
	command -v snmpd >/dev/null || missing="$$missing snmpd"; \
	command -v gcc >/dev/null || missing="$$missing gcc libc6-dev"; \
	test -e /usr/include/modbus/modbus.h || missing="$$missing libmodbus-dev"; \
	command -v npm >/dev/null || missing="$$missing nodejs npm"; \
	command -v snmptrap >/dev/null || missing="$$missing snmp"; \
	if test -z "$$missing"; then :; \
	elif test "$$(id -u)" = 0 && command -v apt-get >/dev/null; then \
		echo "installing for the tests:" $$missing; \
		export DEBIAN_FRONTEND=noninteractive; \
		{ timeout 120 apt-get -qq update && timeout 300 apt-get -qq install -y --no-install-recommends $$missing; } \
			>/dev/null 2>$(VENV)/system.log || { tail -n 5 $(VENV)/system.log; \
			echo "not installed:" $$missing "- tests that need it are skipped"; }; \
	else echo "not here:" $$missing "- tests that need it are skipped; install with your system's packages"; fi
	@touch $@

# An OPC UA server that is not asyncua's, for the driver's tests. Where npm cannot get it, those tests are skipped.
NODE_OPCUA := tests/interop/node_opcua
$(VENV)/.node: $(VENV)/.system $(NODE_OPCUA)/package-lock.json
	@if command -v npm >/dev/null; then \
		echo "installing node-opcua for the tests"; \
		timeout 300 npm ci --prefix $(NODE_OPCUA) --ignore-scripts --no-audit --no-fund >$(VENV)/node.log 2>&1 \
			|| { tail -n 5 $(VENV)/node.log; echo "not installed: node-opcua - its tests are skipped"; }; \
	fi
	@touch $@

.PHONY: check
check: $(VENV)/.dev ## ruff and mypy
	@$(IN)/ruff check --quiet $(CODE)
	@$(IN)/mypy --no-error-summary

.PHONY: test
test: $(VENV)/.dev $(VENV)/.system $(VENV)/.node check ## check, then all tests
	@$(IN)/python -m pytest -ra -n 2 --dist loadfile

.PHONY: fuzz-api
fuzz-api: $(VENV)/.dev ## made-up cases against both served API documents; SEED=n CASES=n of each operation
	@PYTHONPATH=.:tests/gateway $(IN)/python tests/gateway/schemathesis_run.py --seed $(SEED) --examples $(CASES)

.PHONY: demo
demo: $(VENV)/.run ## the simulated campus under control; SECONDS=n ends it after n seconds
	@$(IN)/python -m pswd_edge demo $(if $(filter-out 0,$(SECONDS)),--seconds $(SECONDS))

.PHONY: bench
bench: $(VENV)/.run ## polling of DEVICES simulated devices beside a bare loop
	@$(IN)/python -m pswd_edge bench field --devices $(DEVICES)

.PHONY: schema
schema: $(VENV)/.run ## write the JSON Schemas of site and device-map files anew
	@$(IN)/python -m pswd_edge schema

# Both files from pyproject.toml, for every platform and Python; the second agrees with the first. Needs uv.
LOCK := uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	--no-emit-find-links --custom-compile-command "make lock" --default-index https://pypi.org/simple
.PHONY: lock
lock: ## renew requirements.lock and requirements-dev.lock from pyproject.toml (needs uv); UPGRADE=1 takes newer versions
	@command -v uv >/dev/null || { echo "make lock needs uv: https://docs.astral.sh/uv/" >&2; exit 1; }
	@printf "hatchling>=1.27\neditables>=0.6\n" | $(LOCK) $(if $(UPGRADE),--upgrade) --extra demo -o requirements.lock pyproject.toml -
	@printf "hatchling>=1.27\neditables>=0.6\n" | $(LOCK) $(if $(UPGRADE),--upgrade) --extra demo --extra dev -c requirements.lock \
		-o requirements-dev.lock pyproject.toml -

.PHONY: install
install: ## install the gateway's files under DESTDIR; starts nothing
	@if test "$(INSTALL_VENV)" = 1; then $(MAKE) install-venv; fi
	@install -d -m 755 $(DESTDIR)$(UNITDIR) $(DESTDIR)$(SYSUSERSDIR) $(DESTDIR)$(SYSCONFDIR)
	@install -d -m 700 $(DESTDIR)$(SYSCONFDIR)/secrets
	@for unit in $(UNITS); do \
		sed 's|/opt/pswd-edge|$(PREFIX)|g; s|/etc/pswd-edge|$(SYSCONFDIR)|g' systemd/$$unit > $(DESTDIR)$(UNITDIR)/$$unit; \
		chmod 644 $(DESTDIR)$(UNITDIR)/$$unit; \
	done
	@install -m 644 systemd/pswd-edge.sysusers.conf $(DESTDIR)$(SYSUSERSDIR)/pswd-edge.conf
	@for file in $(addprefix systemd/,$(EXAMPLES)) config/demo.yaml; do \
		name=$$(basename $$file .example).example; \
		test -e $(DESTDIR)$(SYSCONFDIR)/$$name || install -m 644 $$file $(DESTDIR)$(SYSCONFDIR)/$$name; \
	done
	@echo "Installed. Nothing was started, no existing file in $(SYSCONFDIR) was changed. Next:"
	@echo "  1. systemd-sysusers                                       # makes the users"
	@echo "  2. write $(SYSCONFDIR)/site.yaml; $(PREFIX)/bin/pswd-edge check $(SYSCONFDIR)/site.yaml"
	@echo "  3. copy field-networks.conf.example and networks.conf.example to where their first lines say"
	@echo "  4. systemctl daemon-reload && systemctl enable --now pswd-edge.target"

.PHONY: install-venv
install-venv:
	@$(find_python); \
	case "$$("$$python" -c 'import sys; print(sys.base_prefix)')" in /home/*|/root/*) \
		echo "$$python lives in a home folder, which the units hide from the services." \
			"Name another: make PYTHON=/usr/bin/python3 install" >&2; exit 1;; esac; \
	echo "making $(DESTDIR)$(PREFIX) with $$("$$python" --version)"; \
	"$$python" -m venv --clear $(DESTDIR)$(PREFIX)
	@$(call pip_install,$(DESTDIR)$(PREFIX),--require-hashes -r requirements.lock)
	@$(call pip_install,$(DESTDIR)$(PREFIX),--no-deps --no-build-isolation .)
	@test -z "$(DESTDIR)" || grep -lIr '$(DESTDIR)$(PREFIX)' $(DESTDIR)$(PREFIX)/bin | xargs -r sed -i 's|$(DESTDIR)$(PREFIX)|$(PREFIX)|g'

.PHONY: uninstall
uninstall: ## remove what install put there; site file, secrets and state stay
	@for unit in $(UNITS); do rm -f $(DESTDIR)$(UNITDIR)/$$unit; done
	@rm -f $(DESTDIR)$(SYSUSERSDIR)/pswd-edge.conf
	@rm -rf $(DESTDIR)$(PREFIX)
	@echo "Removed. Kept: $(SYSCONFDIR), /var/lib/pswd-edge, /var/lib/pswd-edge-gateway and the users."

.PHONY: clean
clean: ## remove the environment, caches and what a demo left
	@rm -rf $(VENV) build dist var .mypy_cache .ruff_cache .pytest_cache .hypothesis
	@find $(CODE) -name __pycache__ -type d -prune -exec rm -rf {} +
