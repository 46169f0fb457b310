# Everything the project can do is a target here; `make help` lists them. What
# a target needs and the machine lacks is installed with apt, nothing else is
# touched outside build/.

BUILD    := build
FUZZTIME ?= 30s
# How many runs `make chaos` makes.
RUNS     ?= 20
# The Go packages that `make test` runs: PKG=./plugin/portset/... runs fewer.
PKG      ?= ./...
# Modules of their own because of what they link. `make test` of everything runs
# them, too; their go.mod follows ours by itself.
MODULES  := examples/osvbng
# Further arguments for `go test`, for example RUN='-run TestHairpin -v'.
RUN      ?=
# What `make demo` and `make vectors` run on: forwarder or vpp.
DATAPLANE ?= forwarder
# Names of targets that `make test` runs first and counts as one test each.
CHECKS   ?=

# Not spelled out in recipes: make would run those even with -n.
SELF     := $(MAKE) -s
AS_ROOT  := $(CURDIR)/.ci/as-root
NEED     := $(CURDIR)/.ci/need
# What go needs to download modules, and what the race detector needs.
NEED_GO   := /etc/ssl/certs/ca-certificates.crt=ca-certificates
NEED_RACE := cc=gcc /usr/include/stdlib.h=libc6-dev
# What the pages of docs/ use, which tests follow.
NEED_DOCS := ip=iproute2 sysctl=procps ping=iputils-ping curl=curl openssl=openssl bird=bird2 dhcpcd=dhcpcd-base
# Other people's programs that tests are held against.
NEED_PEERS := natpmpc=natpmpc iperf3=iperf3 dhcrelay=isc-dhcp-relay kea-dhcp6=kea-dhcp6-server

# Git refuses to look at a checkout that belongs to somebody else, and then go
# refuses to build.
ifeq ($(shell git -C '$(CURDIR)' rev-parse HEAD 2>/dev/null),)
export GOFLAGS := $(strip $(shell go env GOFLAGS) -buildvcs=false)
endif

# The tests that make network namespaces need root; go itself does not.
ifneq ($(shell id -u),0)
TEST_EXEC := -exec $(AS_ROOT)
endif
GO_TEST   = CGO_ENABLED=1 go test -json -race -count=1 -timeout 15m $(TEST_EXEC)

.PHONY: help build deb deb-test demo test bench vectors docs docs-test fuzz lint clean

help: ## List the targets.
	@grep -hE '^[a-z-]+:.*## ' Makefile | sed 's/:.*## /\t/' | expand -t 10

build: ## Build the lwAFTR, the example CPE and the DHCPv6 server: build/lwaftr, lwb4, coredhcp.
	@$(NEED) $(NEED_GO)
	go build -o $(BUILD)/lwaftr ./examples/lwaftr
	go build -o $(BUILD)/lwb4 ./examples/lwb4
	go build -o $(BUILD)/coredhcp ./examples/coredhcp

deb: ## Make a Debian package of the commands: build/lw4o6_*.deb; VERSION=1.2 names it.
	@$(NEED) $(NEED_GO) dpkg-deb=dpkg
	@CGO_ENABLED=0 go build -trimpath -ldflags '-s -w' -o $(BUILD)/deb/ ./examples/lwaftr ./examples/lwb4 ./examples/coredhcp
	@examples/debian/build $(BUILD)/deb $(BUILD) $(VERSION)

deb-test: deb ## Take the package through its life in a fresh Debian, under systemd.
	@$(NEED) debootstrap=debootstrap systemd-nspawn=systemd-container
	@$(AS_ROOT) examples/debian/test $(BUILD)/deb

demo: build ## Watch a CPE that has only IPv6 reach IPv4 hosts; DATAPLANE=vpp on VPP.
	@go build -o $(BUILD)/quickstart ./examples/quickstart
	@$(AS_ROOT) $(BUILD)/quickstart --dataplane $(DATAPLANE)

test: ## Run all tests; skipped ones are named at the end (LW4O6_REQUIRE_ALL=1: count as failed).
	@$(NEED) $(NEED_GO) $(NEED_RACE) $(NEED_DOCS) $(NEED_PEERS)
	@go build -o $(BUILD)/testsummary ./integration/testsummary
	@$(BUILD)/testsummary -o $(BUILD)/test-summary.txt \
		$(foreach c,$(CHECKS),-check '$(c)=$(SELF) $(c)') \
		-again 'race detector=go test -json -count=1 $(TEST_EXEC)' \
		$(if $(filter ./...,$(PKG)),$(foreach m,$(MODULES),-also 'env -C $(m) $(GO_TEST) -mod=mod $(RUN) ./...')) -- \
		env $(GO_TEST) $(RUN) $(PKG)

bench: build ## Measure, beside peers from the same run; also in build/bench.json.
	@$(NEED) iperf3=iperf3 bird=bird2 perfdhcp=kea-admin kea-dhcp6=kea-dhcp6-server \
		miniupnpd=miniupnpd-nftables nft=nftables
	@go build -o $(BUILD)/bench ./integration/bench
	@$(AS_ROOT) $(BUILD)/bench -o $(BUILD)/bench.json

vectors: ## Run the packet cases of the folder LW4O6_VECTORS names; DATAPLANE=vpp on VPP.
	@$(NEED) $(NEED_GO)
	@go build -o $(BUILD)/vectors ./integration/vectors/run
	@$(if $(filter vpp,$(DATAPLANE)),$(AS_ROOT)) $(BUILD)/vectors -dataplane $(DATAPLANE)

docs: ## Write docs/configuration.md anew, from plugin/reference.yaml.
	@mkdir -p $(BUILD) && go run ./integration/docs/configuration >$(BUILD)/configuration.md
	@mv $(BUILD)/configuration.md docs

docs-test: ## Follow the pages of docs/: run their commands, in order, in fresh namespaces.
	@$(NEED) $(NEED_GO) $(NEED_DOCS)
	go test -count=1 -v $(TEST_EXEC) -run 'TestPlay|TestPrograms|TestConfigurationPage' ./integration/docs

chaos: ## Kill the leases' keeper and fail its disk in RUNS random runs; kill routers and DHCPv6 servers among thousands of lwB4s; kill VPP.
	@$(NEED) $(NEED_GO)
	@go build -o $(BUILD)/chaos ./integration/chaos
	@$(BUILD)/chaos -runs $(RUNS)
	LW4O6_CHAOS=$(RUNS) go test -count=1 -timeout 0 $(TEST_EXEC) -run 'TestChaos|TestChurn' ./vppdrv
	LW4O6_CHAOS=$(RUNS) go test -count=1 -timeout 0 -v $(TEST_EXEC) -run 'TestPCPChaos$$|TestDHCPv6Chaos' ./integration/e2e

fuzz: ## Run every fuzz target for FUZZTIME each (default 30s).
	@$(NEED) $(NEED_GO)
	@.ci/fuzz $(FUZZTIME)

lint: ## Check formatting, vet and staticcheck.
	@$(NEED) $(NEED_GO)
	@.ci/lint

clean: ## Remove what the other targets made.
	rm -rf $(BUILD)
