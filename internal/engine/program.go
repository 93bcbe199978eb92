package engine

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"

	"github.com/tidemark-db/tidemark/internal/fault"
)

const programName = "tidemark-engine"

// Program returns the path of tidemark-engine: TIDEMARK_ENGINE, else beside this executable, else built from the
// source tree that this executable was built from (so that `go test` and `go run` need no step before them), else
// from PATH.
func Program(ctx context.Context) (string, error) {
	if path := os.Getenv("TIDEMARK_ENGINE"); path != "" {
		found, err := exec.LookPath(path)
		if err != nil {
			return "", fault.New("set TIDEMARK_ENGINE to the program "+programName+", or unset it", "find %s: %w", programName, err)
		}
		return filepath.Abs(found)
	}
	if self, err := os.Executable(); err == nil {
		if path := filepath.Join(filepath.Dir(self), programName); exists(path) {
			return path, nil
		}
	}
	if source, found := sourceTree(); found {
		return buildProgram(ctx, source)
	}
	path, err := exec.LookPath(programName)
	if err != nil {
		return "", fault.New("put "+programName+" beside tidemark, or set TIDEMARK_ENGINE to its path", "find %s: %w", programName, err)
	}
	return path, nil
}

// sourceTree returns the module's folder where this executable was built, if it is still there. A released binary is
// built with -trimpath and has none.
func sourceTree() (dir string, found bool) {
	_, file, _, ok := runtime.Caller(0)
	if !ok || !filepath.IsAbs(file) {
		return "", false
	}
	dir = filepath.Dir(filepath.Dir(filepath.Dir(file)))
	return dir, exists(filepath.Join(dir, "cmd", programName, "main.go"))
}

// buildProgram builds into the cache, one process at a time, and replaces the program in one step: others may be
// starting the previous one. The copy that is built over lets the go command see that nothing changed.
func buildProgram(ctx context.Context, source string) (string, error) {
	cache, err := cacheDir()
	if err != nil {
		return "", err
	}
	name := sha256.Sum256([]byte(source)) // two source trees must not replace each other's program
	dir := filepath.Join(cache, "build", hex.EncodeToString(name[:6]))
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", fault.New(cacheTry, "create build folder: %w", err)
	}
	unlock, err := lockFile(ctx, filepath.Join(dir, "lock"), nil)
	if err != nil {
		return "", err
	}
	defer unlock()
	program := filepath.Join(dir, programName)
	next := program + ".next"
	if err := errors.Join(removeFile(next), linkFile(program, next)); err != nil {
		return "", fmt.Errorf("build %s: %w", programName, err)
	}
	if err := runBuild(ctx, source, next); err != nil {
		return "", err
	}
	if err := os.Rename(next, program); err != nil { // leaves both where they are one file
		return "", fmt.Errorf("build %s: %w", programName, err)
	}
	return program, removeFile(next)
}

func runBuild(ctx context.Context, source, output string) error {
	cmd := exec.CommandContext(ctx, "go", "build", "-buildvcs=false", "-o", output, "./cmd/"+programName)
	cmd.Dir = source
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=") // needs no C compiler, whatever the tests' flags
	if said, err := cmd.CombinedOutput(); err != nil {
		return fault.New("see why: cd "+source+" && go build ./cmd/"+programName,
			"build %s: %w\n%s", programName, err, bytes.TrimSpace(said))
	}
	return nil
}

func removeFile(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

func linkFile(from, to string) error {
	if err := os.Link(from, to); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}
