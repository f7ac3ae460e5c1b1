# vipd's chores. `make help` lists them; `make` builds.

SHELL         := /bin/bash
.SHELLFLAGS   := -o pipefail -ec
MAKEFLAGS     += --no-builtin-rules
.DEFAULT_GOAL := build

# Go: the one in PATH, or where its own instructions put it. 1.21 is enough; it
# fetches the version that go.mod asks for by itself.
GO ?= $(firstword $(wildcard $(shell command -v go) /usr/local/go/bin/go /usr/lib/go/bin/go))

VERSION ?= $(shell testenv/version)
BUILD   := -trimpath -buildvcs=false -ldflags '-s -w -X main.version=$(VERSION)'

GOLANGCI_VERSION := v2.6.2
GOLANGCI         := bin/tools/golangci-lint-$(GOLANGCI_VERSION)

# Makes deb and rpm. Later versions need modules that the proxy does not serve.
NFPM_VERSION := v2.45.1
NFPM         := bin/tools/nfpm-$(NFPM_VERSION)

# FUZZTIME is for each fuzz function, SEEDS are the worlds of `make sim`, ARCHES
# those of `make dist`, BENCH more flags of the benchmarks (-h lists them), CYCLES
# how often each fault comes in `make chaos`.
FUZZTIME ?= 60s
SEEDS    ?= 10000
ARCHES   ?= amd64 arm64
BENCH    ?=
CYCLES   ?= 50

# Labs measure time, so they run one after the other and without the race
# detector. The worlds of SIM do without it as well; some run with the unit tests.
# The detector needs a C compiler; without one tests run without it.
LABS  := ./testenv/...
LAB    = VIPD_BIN=$(CURDIR)/bin/vipd NFPM=$(CURDIR)/$(NFPM) $(GO) test -json -count=1 -timeout 40m -p 1 $(LABS)
UNITS  = $(shell $(GO) list ./... | grep -v '/vipd/testenv')
RACE  := $(if $(shell command -v gcc),-race)
SIM    = -count=1 -timeout 24h ./pkg/engine/sim -run '^Test(Swarm|Exclusive|Fenced|Voted)$$' -seeds=$(shell expr $(SEEDS) / 4)
MAN    = $(wildcard docs/man/*.[1-8])

# What no test may skip. Root can install it all (see the target deps); others
# skip what is missing, and the last lines say so.
ifeq ($(shell id -u),0)
export VIPD_REQUIRE ?= netns,keepalived,frr,bird,promtool,nfpm,spin,ansible-playbook
endif

.PHONY: help build demo test check lint fmt unit race fuzz sim lab bench chaos man dist ci go deps clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-6s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))
	@echo "Variables: VERSION=$(VERSION) FUZZTIME=$(FUZZTIME) SEEDS=$(SEEDS) CYCLES=$(CYCLES) ARCHES='$(ARCHES)' VIPD_REQUIRE=$(VIPD_REQUIRE)"

build: go ## build bin/vipd, a static binary
	CGO_ENABLED=0 $(GO) build $(BUILD) -o bin/vipd ./cmd/vipd

demo: build ## show failovers on this machine, with times: no root, nothing left behind
	bin/vipd demo

test: go deps lint build $(NFPM) ## everything: install what the labs need, lint, all tests, all labs
	@{ ok=0; \
	   $(GO) test -json -count=1 -timeout 15m $(RACE) $(UNITS) || ok=1; \
	   $(GO) test -json $(SIM) || ok=1; \
	   $(LAB) || ok=1; \
	   exit $$ok; } | $(GO) run ./testenv/summary

check: lint unit ## the gate before a commit: format, lint, unit, scenario, fuzz seeds

lint: go man $(GOLANGCI) ## format, go vet, golangci-lint with the import rules, manual pages
	@unformatted=$$(gofmt -l . 2>/dev/null || $$($(GO) env GOROOT)/bin/gofmt -l .); \
	 if [ -n "$$unformatted" ]; then echo "not formatted (make fmt):"; echo "$$unformatted"; exit 1; fi
	$(GO) vet ./...
	$(GOLANGCI) run --allow-parallel-runners ./...

fmt: go ## format all Go files
	$(GO) fmt ./...

unit: go ## unit tests, scenarios, simulation, fuzz seeds
	@$(GO) test -json $(UNITS) | $(GO) run ./testenv/summary

race: go ## the same under the race detector
	@$(GO) test -json -race $(UNITS) | $(GO) run ./testenv/summary

fuzz: go ## each fuzz function in turn, for FUZZTIME
	@grep -rHo --include='*_test.go' '^func Fuzz[A-Za-z0-9_]*' cmd internal pkg testenv | sort | while IFS=: read -r file func; do \
	   name=$${func#func }; echo "=== $$name in $${file%/*} for $(FUZZTIME)"; \
	   $(GO) test -run '^$$' -fuzz "^$$name\$$" -fuzztime $(FUZZTIME) "./$${file%/*}" </dev/null; \
	 done

sim: go ## simulate SEEDS clusters with random faults, a quarter of each kind
	$(GO) test -v $(SIM)

lab: go deps build $(NFPM) ## the namespace labs, with keepalived and FRR
	@$(LAB) | $(GO) run ./testenv/summary

bench: go build ## measure against keepalived, FRR, BIRD and ExaBGP; writes docs/benchmarks.md
	@testenv/install-deps exabgp=/usr/sbin/exabgp
	$(GO) run ./testenv/bench -out docs/benchmarks.md $(BENCH)

chaos: go deps build ## every fault, CYCLES times with each guard and keepalived; writes its chapter of docs/benchmarks.md
	$(GO) run ./testenv/bench -out docs/benchmarks.md -only chaos -n $(CYCLES) $(BENCH)

man: ## check the manual pages
	@if [ -z "$(MAN)" ]; then :; \
	 elif ! command -v mandoc >/dev/null; then echo "manual pages not checked: no mandoc (apt-get install mandoc)"; \
	 else mandoc -T lint -W warning $(MAN); fi

dist: go man build $(NFPM) ## deb, rpm, archives and their checksums in dist/
	@rm -rf dist && mkdir dist
	@export SOURCE_DATE_EPOCH=$${SOURCE_DATE_EPOCH:-$$(testenv/version --date)}; \
	 for arch in $(ARCHES); do \
	   name=vipd-$(VERSION)-linux-$$arch; dir=dist/$$name; \
	   mkdir -p "$$dir"; \
	   CGO_ENABLED=0 GOOS=linux GOARCH=$$arch $(GO) build $(BUILD) -o "$$dir/vipd" ./cmd/vipd; \
	   for format in deb rpm; do \
	     NFPM=$(NFPM) GO=$(GO) VIPD=bin/vipd contrib/packaging/build $$format "$$dir/vipd" $$arch $(VERSION) dist >/dev/null; \
	   done; \
	   for part in README.md CHANGELOG.md LICENSE docs/man examples contrib; do \
	     if [ -e "$$part" ]; then cp -r "$$part" "$$dir/"; fi; \
	   done; \
	   tar -C dist --sort=name --owner=0 --group=0 --numeric-owner --mtime="@$$SOURCE_DATE_EPOCH" \
	     -cf - "$$name" | gzip -n -9 >"dist/$$name.tar.gz"; \
	   rm -r "$$dir"; \
	 done
	@cd dist && sha256sum * | tee sha256sums

ci: test ## what continuous integration runs

clean: ## remove what was built
	rm -rf bin dist

go:
	@testenv/check-go "$(GO)"

deps:
	@testenv/install-deps

# Built with the toolchain of go.mod: a linter built with an older one refuses
# newer code.
$(GOLANGCI): | go
	@echo "building golangci-lint $(GOLANGCI_VERSION), once (a minute or two)"
	@mkdir -p bin/tools
	@GOBIN=$(CURDIR)/bin/tools CGO_ENABLED=0 GOTOOLCHAIN=$$($(GO) env GOVERSION) GOFLAGS= \
	   $(GO) install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_VERSION)
	@mv bin/tools/golangci-lint $@

$(NFPM): | go
	@echo "building nfpm $(NFPM_VERSION), once"
	@mkdir -p bin/tools
	@GOBIN=$(CURDIR)/bin/tools CGO_ENABLED=0 GOTOOLCHAIN=$$($(GO) env GOVERSION) GOFLAGS= \
	   $(GO) install github.com/goreleaser/nfpm/v2/cmd/nfpm@$(NFPM_VERSION)
	@mv bin/tools/nfpm $@
