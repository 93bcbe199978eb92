package engine

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"

	"github.com/tidemark-db/tidemark/internal/fault"
)

// postgresAccount returns whom PostgreSQL runs as: nil for ourselves, but it refuses to run as root.
func postgresAccount() (*syscall.Credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	const name = "nobody"
	nobody, err := user.Lookup(name)
	if err != nil {
		return nil, fault.New("run tidemark as an ordinary user", "find a user for PostgreSQL, which refuses root: %w", err)
	}
	uid, err1 := strconv.ParseUint(nobody.Uid, 10, 32)
	gid, err2 := strconv.ParseUint(nobody.Gid, 10, 32)
	if err := errors.Join(err1, err2); err != nil {
		return nil, fmt.Errorf("find user %s: %w", name, err)
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
}

// giveTo makes the account the owner of dir and of all below it, and sees that it gets there and to its programs.
func giveTo(account *syscall.Credential, dir, bin string) error {
	if account == nil {
		return nil
	}
	if err := errors.Join(reachable(dir), reachable(bin)); err != nil {
		return err
	}
	return filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(path, int(account.Uid), int(account.Gid))
	})
}

// reachable refuses a folder that an account without rights of its own cannot walk to.
func reachable(dir string) error {
	for parent := filepath.Dir(dir); ; parent = filepath.Dir(parent) {
		info, err := os.Stat(parent)
		if err != nil {
			return fmt.Errorf("look at folder: %w", err)
		}
		if info.Mode().Perm()&0o001 == 0 {
			return fault.New("name a folder that every user may enter, or run tidemark as an ordinary user",
				"use %s: PostgreSQL does not run as root, and other users cannot enter %s", dir, parent)
		}
		if parent == filepath.Dir(parent) {
			return nil
		}
	}
}
