package engine

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha512"
	"encoding/base64"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

type packed struct{ name, text string }

// pack writes an npm tarball and returns its path and the release that pins it.
func pack(t *testing.T, files ...packed) (string, release) {
	t.Helper()
	var text bytes.Buffer
	zipped := gzip.NewWriter(&text)
	archive := tar.NewWriter(zipped)
	for _, file := range files {
		must(t, archive.WriteHeader(&tar.Header{Name: file.name, Mode: 0o755, Size: int64(len(file.text)), Typeflag: tar.TypeReg}))
		_, err := archive.Write([]byte(file.text))
		must(t, err)
	}
	must(t, errors.Join(archive.Close(), zipped.Close()))
	path := filepath.Join(t.TempDir(), "package.tgz")
	must(t, os.WriteFile(path, text.Bytes(), 0o600))
	sum := sha512.Sum512(text.Bytes())
	return path, release{title: "Engine 1", integrity: "sha512-" + base64.StdEncoding.EncodeToString(sum[:]), size: int64(text.Len())}
}

func TestInstall(t *testing.T) {
	tarball, r := pack(t,
		packed{"package/native/lib/libx.so.5.1", "x"},
		packed{"package/native/pg-symlinks.json", `[{"source":"native/lib/libx.so.5.1","target":"native/lib/libx.so"}]`})
	dir := filepath.Join(t.TempDir(), "engine")
	must(t, install(tarball, r, dir))
	text, err := os.ReadFile(filepath.Join(dir, "native/lib/libx.so"))
	if err != nil || string(text) != "x" {
		t.Errorf("read through the symbolic link: %q, %v", text, err)
	}
	info, err := os.Stat(filepath.Join(dir, "native/lib/libx.so.5.1"))
	must(t, err)
	if info.Mode().Perm() != 0o755 {
		t.Errorf("mode %v, want that of the tarball", info.Mode())
	}
}

func TestInstallRefusesTampered(t *testing.T) {
	tarball, r := pack(t, packed{"package/postgres", "good"})
	tampered, _ := pack(t, packed{"package/postgres", "evil"})
	truncated := filepath.Join(t.TempDir(), "short.tgz")
	whole, err := os.ReadFile(tarball)
	must(t, err)
	must(t, os.WriteFile(truncated, whole[:len(whole)-1], 0o600))
	for _, path := range []string{tampered, truncated} {
		dir := filepath.Join(t.TempDir(), "engine")
		if err := install(path, r, dir); !errors.Is(err, errIntegrity) {
			t.Errorf("install %s: %v, want %v", path, err, errIntegrity)
		}
		if exists(dir) {
			t.Error("a refused tarball was unpacked")
		}
	}
}

func TestInstallRefusesEscape(t *testing.T) {
	tarball, r := pack(t, packed{"package/../../evil", "evil"})
	parent := t.TempDir()
	if err := install(tarball, r, filepath.Join(parent, "a", "engine")); err == nil {
		t.Error("a path out of the folder was accepted")
	}
	if exists(filepath.Join(parent, "evil")) {
		t.Error("a file was written outside of the folder")
	}
}

// TestFetch fetches the smallest release with npm into an empty cache, from several callers at once.
func TestFetch(t *testing.T) {
	t.Setenv("TIDEMARK_CACHE", t.TempDir())
	ctx := testContext(t)
	var progress lockedBuffer
	var callers sync.WaitGroup
	for range 3 {
		callers.Go(func() {
			if _, err := BinDir(ctx, "14", &progress); err != nil {
				t.Error(err)
			}
		})
	}
	callers.Wait()
	if got := strings.Count(progress.String(), "fetching PostgreSQL 14.23 (23 MB) …\n"); got != 1 {
		t.Errorf("fetched %d times, want once; said:\n%s", got, progress.String())
	}
	left, err := filepath.Glob(filepath.Join(os.Getenv("TIDEMARK_CACHE"), "*.part*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left %v, %v", left, err)
	}
	canceled, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := BinDir(canceled, "15", nil); !errors.Is(err, context.Canceled) {
		t.Errorf("fetch with a canceled context: %v", err)
	}
	wrong := postgresReleases["14"]
	wrong.integrity = postgresReleases["15"].integrity
	if _, err := fetch(ctx, wrong, nil); !errors.Is(err, errIntegrity) {
		t.Errorf("fetch of a package that is not the pinned one: %v", err)
	}
}

type lockedBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *lockedBuffer) Write(text []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(text)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}
