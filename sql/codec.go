package sql

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/tidemark-db/tidemark/internal/fault"
)

var (
	codecForm  = regexp.MustCompile(`^([A-Za-z0-9]+)(?:\(([0-9]+)\))?$`)
	codecNames = []string{"Delta", "DoubleDelta", "FPC", "GCD", "Gorilla", "LZ4", "LZ4HC", "NONE", "T64", "ZSTD"}
)

// ParseCodec checks the arguments of CODEC, as in "DoubleDelta, ZSTD(1)", and returns them in ClickHouse's spelling.
// Whether a codec suits a type is ClickHouse's to say.
func ParseCodec(column, text string) (string, error) {
	parts := strings.Split(text, ",")
	for i, part := range parts {
		parts[i] = compact(part)
		if m := codecForm.FindStringSubmatch(parts[i]); m == nil || !slices.Contains(codecNames, m[1]) {
			return "", fault.New("chain some of "+strings.Join(codecNames, ", ")+", e.g. \"Delta, ZSTD(1)\", or remove the entry",
				"codec %q of column %s: %s", text, column, fmt.Sprintf("%q is no codec that tidemark knows", part))
		}
	}
	return strings.Join(parts, ", "), nil
}
