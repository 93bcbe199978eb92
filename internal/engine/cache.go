package engine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tidemark-db/tidemark/internal/fault"
)

const cacheTry = "set TIDEMARK_CACHE to a folder that you may write to"

// cacheDir returns the folder of everything that is fetched or built, and creates it. It is TIDEMARK_CACHE, else
// /var/cache/tidemark for root (PostgreSQL runs as another user then, who cannot look into root's home), else a folder
// of the user's cache.
func cacheDir() (string, error) {
	dir := os.Getenv("TIDEMARK_CACHE")
	switch {
	case dir != "":
	case os.Geteuid() == 0:
		dir = "/var/cache/tidemark"
	default:
		base, err := os.UserCacheDir()
		if err != nil {
			return "", fault.New(cacheTry, "find cache folder: %w", err)
		}
		dir = filepath.Join(base, "tidemark")
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", fmt.Errorf("find cache folder: %w", err)
	}
	if exists(dir) {
		return dir, nil
	}
	// Readable by all whatever our umask is: root's PostgreSQL runs as another user.
	if err := errors.Join(os.MkdirAll(dir, 0o755), os.Chmod(dir, 0o755)); err != nil {
		return "", fault.New(cacheTry, "create cache folder: %w", err)
	}
	return dir, nil
}

// lockFile waits for the exclusive lock of the file, which the kernel drops when its holder ends, and returns what
// releases it. wait is called once if another process holds the lock.
func lockFile(ctx context.Context, path string, wait func()) (unlock func(), err error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, fault.New(cacheTry, "open lock: %w", err)
	}
	poll := time.NewTicker(50 * time.Millisecond)
	defer poll.Stop()
	for {
		err := unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			return func() { _ = file.Close() }, nil
		}
		if !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, unix.EINTR) {
			_ = file.Close()
			return nil, fmt.Errorf("lock %s: %w", path, err)
		}
		if wait != nil {
			wait()
			wait = nil
		}
		select {
		case <-ctx.Done():
			_ = file.Close()
			return nil, fmt.Errorf("lock %s: %w", path, ctx.Err())
		case <-poll.C:
		}
	}
}
