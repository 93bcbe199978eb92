package engine

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/andybalholm/brotli"
)

// chromiumRelease is a headless Chromium with the libraries and the font that a bare machine lacks.
var chromiumRelease = release{
	"Chromium 153", "@sparticuz/chromium", "153.0.0",
	"sha512-jiGWqSvPMdu4+P9TilYqAR7yEGPEHINx+lCvE/NqNO/EHYzF/x1hUiI5T6ioVIt7dEy7n88byyT0vk+dnsgQwA==", 69995309,
}

// Chromium is a headless browser for tests of the status page.
type Chromium struct {
	Path string
	Env  []string // what it needs to find its libraries and its font
}

// FindChromium returns the browser, fetched and unpacked into the cache where it lacks it.
func FindChromium(ctx context.Context, progress io.Writer) (Chromium, error) {
	dir, err := fetch(ctx, chromiumRelease, progress)
	if err != nil {
		return Chromium{}, err
	}
	unpacked := dir + "-unpacked"
	unlock, err := lockFile(ctx, unpacked+".lock", nil)
	if err != nil {
		return Chromium{}, err
	}
	defer unlock()
	if !exists(unpacked) {
		if err := unpackChromium(filepath.Join(dir, "bin"), unpacked); err != nil {
			return Chromium{}, fmt.Errorf("unpack %s: %w", chromiumRelease.title, err)
		}
	}
	return Chromium{
		Path: filepath.Join(unpacked, "chromium"),
		Env:  []string{"LD_LIBRARY_PATH=" + filepath.Join(unpacked, "lib"), "FONTCONFIG_FILE=" + filepath.Join(unpacked, "fonts.xml")},
	}, nil
}

// fontConfig names the package's only font; its own configuration expects it in /tmp.
const fontConfig = `<?xml version="1.0"?>
<fontconfig><dir>%s</dir><cachedir>%s</cachedir></fontconfig>
`

// unpackChromium unpacks beside final and renames at the end, so that final is whole or absent.
func unpackChromium(packed, final string) error {
	work := final + ".part"
	if err := errors.Join(os.RemoveAll(work), makeDir(work)); err != nil {
		return err
	}
	root, err := os.OpenRoot(work)
	if err != nil {
		return err
	}
	defer func() { _ = root.Close() }()
	err = unbrotli(filepath.Join(packed, "chromium.br"), func(r io.Reader) error {
		return extractFile(r, root, "chromium", 0o755)
	})
	for _, archive := range []string{"al2023.tar.br", "fonts.tar.br"} {
		err = errors.Join(err, unbrotli(filepath.Join(packed, archive), func(r io.Reader) error { return extract(tar.NewReader(r), root) }))
	}
	fonts := fmt.Sprintf(fontConfig, filepath.Join(final, "fonts"), filepath.Join(final, "cache"))
	if err := errors.Join(err, root.WriteFile("fonts.xml", []byte(fonts), 0o644)); err != nil {
		return err
	}
	return os.Rename(work, final)
}

func unbrotli(path string, read func(io.Reader) error) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }()
	if err := read(brotli.NewReader(file)); err != nil {
		return fmt.Errorf("%s: %w", strings.TrimSuffix(filepath.Base(path), ".br"), err)
	}
	return nil
}
