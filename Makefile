# make demo    both engines, a shop with a live workload, the bridge (the README's first command)
# make test    lint and the tests (the README's second command)
# make faults  every failpoint, before, amid and after, with kill -9 of the bridge and of both servers
# make long    the tests that take minutes each: stalls, standby, identities, names, overtaken bridges
# make soak    random faults and random histories for TIDEMARK_SOAK minutes (20)
# make matrix  types, names, identities, late changes and loads on PostgreSQL 14, 16 and 17
# make bench   what PERFORMANCE.md shows, side by side with peers and limits; PART="catch-up query" ARGS="-scale 0.01"
# make build   static binaries in bin/

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS  = -s -w -X main.version=$(VERSION)
TOOLS    = go tool -modfile=tools/go.mod
TIMEOUT ?= 45m

TIDEMARK_SOAK ?= 20

.PHONY: all build demo test bench long soak matrix unit crashes faults lint static vuln fmt golden clean
all: build

build:
	CGO_ENABLED=0 go build -trimpath -ldflags "$(LDFLAGS)" -o bin/tidemark ./cmd/tidemark
	CGO_ENABLED=0 go build -trimpath -ldflags "$(LDFLAGS)" -o bin/tidemark-engine ./cmd/tidemark-engine

demo: build
	bin/tidemark demo $(ARGS)

test: lint static unit crashes

# Engines of tests write to memory, where there is plenty: what a killed process wrote is there too, and no test cuts the power.
MEMORY := $(shell awk '/MemAvailable/ && $$2 > 12e6 {print "yes"}' /proc/meminfo)
ifeq ($(MEMORY),yes)
unit crashes faults: export TMPDIR := $(shell df -k --output=avail /dev/shm | awk 'NR == 2 {print ($$1 > 8e6) ? "/dev/shm" : "/tmp"}')
endif

# Two packages at a time: each starts engines of its own, and two cores are soon busy.
unit:
	go test -race -p 2 -parallel 4 -timeout $(TIMEOUT) -skip '^TestFaults$$|$(LONG)' ./...

# Every failpoint, before and after, with kills of the bridge and of both servers: processes race here, and no race detector
# sees that.
crashes:
	go test -timeout $(TIMEOUT) -run '^TestFaults$$' -count=1 ./internal/e2e

# The same, with the servers killed amid the statements too.
faults:
	TIDEMARK_FAULTS=all go test -timeout $(TIMEOUT) -run '^TestFaults$$' -count=1 -v ./internal/e2e

# What takes minutes each. With the rest it would be more than an hour on two cores.
LONG = ^Test(Backlog|Overtaken|Soak|SchemaCrash|SchemaChangesUnderLoads|ModelNotices|HugeText|Partitions|StoppedClickHouse|Stalls|StallsWhileLoading|Standby|Identities|Names|Model|SourceLost|SourceLostWhileRunning|Aggregates|Bench)$$
long:
	go test -race -timeout 90m -run '$(LONG)' ./internal/e2e ./internal/bench

bench:
	go run ./internal/bench $(PART) $(ARGS)

# Both print the seed that repeats what they did.
soak:
	TIDEMARK_SOAK=$(TIDEMARK_SOAK) go test ./internal/e2e -run 'TestSoak|TestModel$$|TestBigTransactions' -count=1 -v -timeout 24h

# CI has PostgreSQL 18 and 15 with ClickHouse 26.7. The embedded ClickHouse 26.5 cannot listen, and 26.7 is the oldest that
# tidemark works with; another server is named by TIDEMARK_TEST_CLICKHOUSE_DSN and TIDEMARK_TEST_CLICKHOUSE_HTTP (host:port).
MATRIX ?= 14 16 17
matrix:
	@for v in $(MATRIX); do \
		echo "PostgreSQL $$v"; \
		TIDEMARK_TEST_POSTGRES_VERSION=$$v go test ./internal/e2e -run 'TestTypes|TestNames|TestIdentities|TestLateCases|TestLoad|TestHold|TestStop|TestInit|TestCommands' -count=1 -timeout $(TIMEOUT) || exit 1; \
	done

lint:
	$(TOOLS) golangci-lint run ./...
	cd tools/promeval && go vet .

# cmd/tidemark has to run on any Linux, and only cmd/tidemark-engine may know purego.
static: build
	@if readelf -l bin/tidemark | grep -q INTERP; then echo "bin/tidemark is not static"; exit 1; fi
	@if go list -deps ./cmd/tidemark | grep -q ebitengine/purego; then echo "cmd/tidemark imports purego"; exit 1; fi

# Known vulnerabilities in what the code calls; asks the Go vulnerability database.
vuln:
	$(TOOLS) govulncheck ./...

fmt:
	$(TOOLS) golangci-lint fmt ./...

# Rewrites the golden files after a change of SQL; read the diff.
golden:
	go test ./sql -rewrite

clean:
	rm -rf bin
