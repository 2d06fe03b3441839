# `make demo` and `make test` need Rust, Go and make; everything else they build.
#
#   CONTROL_PLANE_BIN  where kube-apiserver, etcd and kubectl are built and kept
#   HELM_BIN           where helm is built and kept
#   KUBEBUILDER_ASSETS ready-made kube-apiserver, etcd and kubectl: none are built
#   KEEP=1             `make demo` leaves everything up

SHELL := /bin/sh
.DEFAULT_GOAL := help

CARGO ?= cargo
GO ?= go
CARGO_TARGET_DIR ?= $(CURDIR)/target
CONTROL_PLANE_BIN ?= $(CURDIR)/target/control-plane
HELM_BIN ?= $(CURDIR)/target/helm
# Tools are built from within their modules' folders.
override CARGO_TARGET_DIR := $(abspath $(CARGO_TARGET_DIR))
override CONTROL_PLANE_BIN := $(abspath $(CONTROL_PLANE_BIN))
override HELM_BIN := $(abspath $(HELM_BIN))
export CARGO_TARGET_DIR CONTROL_PLANE_BIN HELM_BIN

KUBERNETES_VERSION := v1.37.2
HELM_VERSION := v4.3.1
COMPONENT_BASE := k8s.io/component-base/version
CONTROL_PLANE_LDFLAGS := -s -w -X $(COMPONENT_BASE).gitVersion=$(KUBERNETES_VERSION) \
	-X $(COMPONENT_BASE).gitMajor=1 -X $(COMPONENT_BASE).gitMinor=37
HELM_LDFLAGS := -s -w -X helm.sh/helm/v4/internal/version.version=$(HELM_VERSION)
GO_BUILD := CGO_ENABLED=0 GOWORK=off $(GO) build -mod=readonly -trimpath -buildvcs=false

# $(call go-tools,MODULE DIRECTORY,BIN DIRECTORY,LDFLAGS,NAME=PACKAGE ...)
# Builds a module's tools unless the directory holds them already. What they were
# built from is compared by content: a fresh clone has fresh file times, and a
# cache folder that outlives the checkout must still count.
define go-tools
	@set -eu; \
	stamp='$(2)/.built-from'; \
	want="$$(cat $(1)/go.mod $(1)/go.sum; echo '$(strip $(3))')"; \
	missing=; \
	for tool in $(4); do test -x "$(2)/$${tool%%=*}" || missing="$$missing $${tool%%=*}"; done; \
	if test -z "$$missing" && test "$$want" = "$$(cat "$$stamp" 2>/dev/null)"; then exit 0; fi; \
	mkdir -p '$(2)'; rm -f "$$stamp"; \
	for tool in $(4); do \
		name="$${tool%%=*}"; \
		echo "building $$name (minutes the first time)"; \
		(cd $(1) && $(GO_BUILD) -ldflags '$(strip $(3))' -o "$(2)/.$$name.new" "$${tool#*=}"); \
		mv "$(2)/.$$name.new" "$(2)/$$name"; \
	done; \
	printf '%s\n' "$$want" > "$$stamp"
endef

.PHONY: help
help:
	@echo "make demo        the main job, end to end, on a real API server and simulated AWS (KEEP=1 leaves it up)"
	@echo "make test        every test"
	@echo "make lint        format, clippy, documentation"
	@echo "make generate    CRDs and manifests from the Rust types"
	@echo "make soak        a long random run among others who edit the same records (SOAK_MINUTES, SOAK_SEED)"
	@echo "make fuzz        the fuzz targets for FUZZ_SECONDS (60), seeded by FUZZ_SEED (1)"
	@echo "make bench       what 100, 1,000 and 10,000 objects cost, against the quotas' own floor: hours (BENCH_ARGS)"
	@echo "make bench-quick the same with 1,000 objects, under six minutes"
	@echo "make bench-real  the same with 100 objects and AWS's quotas as they are"
	@echo "make bench-life  time and API writes of one object on its way to Ready"

.PHONY: control-plane
control-plane:
ifeq ($(strip $(KUBEBUILDER_ASSETS)),)
	$(call go-tools,tests/control-plane,$(CONTROL_PLANE_BIN),$(CONTROL_PLANE_LDFLAGS),\
		kube-apiserver=k8s.io/kubernetes/cmd/kube-apiserver \
		kubectl=k8s.io/kubernetes/cmd/kubectl \
		etcd=go.etcd.io/etcd/server/v3)
endif

.PHONY: helm
helm:
	$(call go-tools,tests/helm,$(HELM_BIN),$(HELM_LDFLAGS),helm=helm.sh/helm/v4/cmd/helm)

.PHONY: demo
demo: control-plane
	$(CARGO) build --release --workspace --bins
	"$(CARGO_TARGET_DIR)/release/demo" $(if $(KEEP),--keep) "$(CARGO_TARGET_DIR)/release/ses-mailfrom"

# The audit logs that the end-to-end tests leave are read as one suite's. Tests wait
# for others most of the time: one for each core would leave the cores idle.
.PHONY: test
test: export RUST_TEST_THREADS ?= $(shell expr 3 '*' "$$(getconf _NPROCESSORS_ONLN)")
test: control-plane helm
	rm -rf "$(CARGO_TARGET_DIR)/harness/audit"
	$(CARGO) test --workspace

.PHONY: lint
lint:
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --no-deps --workspace

# Writes what is generated from the types; `make test` fails while it is stale.
.PHONY: generate
generate:
	SES_MAILFROM_GENERATE=1 $(CARGO) test -p ses-mailfrom --test generated

# SOAK_MINUTES (20) and SOAK_SEED (drawn, and printed) choose the run.
.PHONY: soak
soak: control-plane
	$(CARGO) build --release --workspace --bins
	"$(CARGO_TARGET_DIR)/release/soak" "$(CARGO_TARGET_DIR)/release/ses-mailfrom"

.PHONY: bench-life
bench-life: control-plane
	$(CARGO) build --release --workspace --bins
	"$(CARGO_TARGET_DIR)/release/bench-life" "$(CARGO_TARGET_DIR)/release/ses-mailfrom"

# Writes bench/report.json in the target folder; fails where a figure is over its
# bound, or the machine was too busy. BENCH_ARGS: --only NAME, --objects COUNT,
# --at-rest MINUTES, --gate.
.PHONY: bench bench-quick bench-real
bench: BENCH_PROFILE := full
bench-quick: BENCH_PROFILE := quick
bench-real: BENCH_PROFILE := real
bench bench-quick bench-real: control-plane
	$(CARGO) build --release --workspace --bins
	"$(CARGO_TARGET_DIR)/release/bench" --profile $(BENCH_PROFILE) $(BENCH_ARGS) \
		"$(CARGO_TARGET_DIR)/release/ses-mailfrom"

# What cargo-fuzz does, on the stable toolchain: libFuzzer with LLVM's coverage,
# without the sanitizers that only nightly has and safe Rust needs less.
FUZZ_SECONDS ?= 60
FUZZ_SEED ?= 1
FUZZ_FLAGS := --cfg fuzzing -Cpasses=sancov-module \
	-Cllvm-args=-sanitizer-coverage-level=4 \
	-Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
	-Cllvm-args=-sanitizer-coverage-pc-table \
	-Cllvm-args=-sanitizer-coverage-trace-compares \
	-Ccodegen-units=1
FUZZ_DIR := $(CARGO_TARGET_DIR)/fuzz
# Named, so that build scripts and macros are built without those flags.
FUZZ_TARGET = $(shell rustc -vV | sed -n 's/^host: //p')

.PHONY: fuzz
fuzz:
	mkdir -p "$(FUZZ_DIR)/corpus/spf" "$(FUZZ_DIR)/artifacts/spf"
	RUSTFLAGS="$(FUZZ_FLAGS)" $(CARGO) build --release --manifest-path fuzz/Cargo.toml \
		--target-dir "$(FUZZ_DIR)" --target $(FUZZ_TARGET)
	"$(FUZZ_DIR)/$(FUZZ_TARGET)/release/spf" -seed=$(FUZZ_SEED) -max_total_time=$(FUZZ_SECONDS) -max_len=4200 \
		-dict=fuzz/spf.dict -artifact_prefix="$(FUZZ_DIR)/artifacts/spf/" "$(FUZZ_DIR)/corpus/spf"
