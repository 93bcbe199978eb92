package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"

	"github.com/tidemark-db/tidemark/internal/fault"
)

const pgbenchTry = "install it (Debian: apt-get install postgresql-contrib), or run apt-get update as root"

// Pgbench returns the path of a pgbench that runs: the system's, else Debian's, unpacked into the cache, which needs
// no root. The npm packages of PostgreSQL have none.
func Pgbench(ctx context.Context, progress io.Writer) (string, error) {
	installed, _ := filepath.Glob("/usr/lib/postgresql/*/bin/pgbench")
	slices.Reverse(installed) // the newest first
	// Debian's pgbench in PATH is a wrapper that may want a local cluster, so it comes last.
	for _, path := range append(installed, "pgbench") {
		if path, err := exec.LookPath(path); err == nil && runs(ctx, path) == nil {
			return path, nil
		}
	}
	return fetchPgbench(ctx, progress)
}

func runs(ctx context.Context, program string) error {
	_, err := output(ctx, "", program, "--version")
	return err
}

func fetchPgbench(ctx context.Context, progress io.Writer) (string, error) {
	cache, err := cacheDir()
	if err != nil {
		return "", err
	}
	final := filepath.Join(cache, "pgbench")
	script := filepath.Join(final, "pgbench")
	unlock, err := lockFile(ctx, final+".lock", func() { say(progress, "waiting for another process that fetches pgbench\n") })
	if err != nil {
		return "", err
	}
	defer unlock()
	if runs(ctx, script) == nil {
		return script, nil
	}
	say(progress, "fetching pgbench (17 MB) …\n")
	if err := installPgbench(ctx, final, progress); err != nil {
		return "", fault.New(pgbenchTry, "fetch pgbench: %w", err)
	}
	return script, nil
}

// installPgbench unpacks Debian's server package, which holds pgbench, and writes a script that gives it the libpq of
// the embedded PostgreSQL, the only one of its libraries that a system without PostgreSQL lacks.
func installPgbench(ctx context.Context, final string, progress io.Writer) error {
	bin, err := BinDir(ctx, DefaultPostgres, progress)
	if err != nil {
		return err
	}
	work := final + ".part"
	if err := errors.Join(os.RemoveAll(work), os.RemoveAll(final)); err != nil {
		return err
	}
	if err := makeDir(work); err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(work) }()
	if err := unpackPgbench(ctx, work, filepath.Join(work, "program")); err != nil {
		return err
	}
	libraries := filepath.Join(filepath.Dir(bin), "lib")
	text := fmt.Sprintf("#!/bin/sh\nLD_LIBRARY_PATH=%q exec %q \"$@\"\n", libraries, filepath.Join(final, "program"))
	if err := os.WriteFile(filepath.Join(work, "pgbench"), []byte(text), 0o755); err != nil {
		return err
	}
	if err := os.Rename(work, final); err != nil {
		return err
	}
	if err := runs(ctx, filepath.Join(final, "pgbench")); err != nil {
		return errors.Join(err, os.RemoveAll(final))
	}
	return nil
}

// unpackPgbench puts the pgbench of Debian's PostgreSQL server package at the given path.
func unpackPgbench(ctx context.Context, work, program string) error {
	download := filepath.Join(work, "download")
	if err := makeDir(download); err != nil { // apt drops its rights and wants to write there all the same: it only warns
		return err
	}
	deb, err := downloadDebian(ctx, download)
	if err != nil {
		return err
	}
	if _, err := output(ctx, download, "dpkg-deb", "-x", deb, "files"); err != nil {
		return err
	}
	found, _ := filepath.Glob(filepath.Join(download, "files/usr/lib/postgresql/*/bin/pgbench"))
	if len(found) != 1 {
		return fmt.Errorf("%s holds %d pgbench, want 1", filepath.Base(deb), len(found))
	}
	if err := os.Rename(found[0], program); err != nil {
		return err
	}
	return os.RemoveAll(download)
}

var serverPackage = regexp.MustCompile(`postgresql-\d+`)

// downloadDebian fetches the distribution's PostgreSQL server package with apt, which checks its signature.
func downloadDebian(ctx context.Context, dir string) (string, error) {
	if os.Geteuid() == 0 {
		if _, err := output(ctx, dir, "apt-get", "update", "--quiet"); err != nil {
			return "", err
		}
	}
	depends, err := output(ctx, dir, "apt-cache", "depends", "postgresql")
	if err != nil {
		return "", err
	}
	name := serverPackage.FindString(depends)
	if name == "" {
		return "", errors.New("apt knows no PostgreSQL server package")
	}
	if _, err := output(ctx, dir, "apt-get", "download", name); err != nil {
		return "", err
	}
	debs, _ := filepath.Glob(filepath.Join(dir, "*.deb"))
	if len(debs) != 1 {
		return "", fmt.Errorf("apt-get download %s left %d packages, want 1", name, len(debs))
	}
	return debs[0], nil
}

// output runs a tool and returns what it printed; its error tells what it said.
func output(ctx context.Context, dir, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	text, err := cmd.Output()
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		return "", fmt.Errorf("%s: %w%s", filepath.Base(name), err, firstLine(string(exit.Stderr)))
	case err != nil:
		return "", fmt.Errorf("run %s: %w", filepath.Base(name), err)
	}
	return string(text), nil
}
