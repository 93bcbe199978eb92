package demo

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/tidemark-db/tidemark/internal/config"
)

func runDemo(ctx context.Context, out *watched, keep string, lasts time.Duration) (warnings string, err error) {
	var warned watched
	err = Run(ctx, Options{
		For: lasts, RTWindow: 2 * time.Second, Rate: 300, Keep: keep,
		Out: out, Progress: os.Stderr, Warnings: &warned, LogLevel: zerolog.InfoLevel, size: small,
	})
	return warned.String(), err
}

// The first demo is interrupted; the second one goes on with what it left and compares.
func TestDemo(t *testing.T) {
	keep := openFolderOf(t)
	ctx, interrupt := context.WithCancel(testContext(t))
	defer interrupt()
	first := &watched{find: "sales in RT", seen: interrupt}
	if warned, err := runDemo(ctx, first, keep, 0); err != nil || warned != "" {
		t.Fatalf("%v\n%s\n%s", err, first, warned)
	}
	if !strings.Contains(first.String(), "The shop is new: 5 stores") {
		t.Errorf("made no new shop:\n%s", first)
	}
	second := &watched{}
	if warned, err := runDemo(testContext(t), second, keep, 3*time.Second); err != nil || warned != "" {
		t.Fatalf("%v\n%s\n%s", err, second, warned)
	}
	for _, want := range []string{"Going on with the shop", "split_date_current", "After 3s", "Every view is equal to its table."} {
		if !strings.Contains(second.String(), want) {
			t.Errorf("does not say %q:\n%s", want, second)
		}
	}
	if _, err := config.Load(filepath.Join(keep, "tidemark.yaml"), nil, nil); err != nil {
		t.Errorf("its configuration is of no use: %v", err)
	}
}

func TestFolderInUse(t *testing.T) {
	dir := openFolderOf(t)
	f, err := openFolder(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := openFolder(dir); err == nil || !strings.Contains(err.Error(), "another demo uses it") {
		t.Errorf("got %v", err)
	}
	if err := f.close(); err != nil {
		t.Fatal(err)
	}
	again, err := openFolder(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := again.close(); err != nil {
		t.Fatal(err)
	}
}

func TestTemporaryFolderGoes(t *testing.T) {
	f, err := openFolder("")
	if err != nil {
		t.Fatal(err)
	}
	if err := f.close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(f.path); !os.IsNotExist(err) {
		t.Errorf("%s is left: %v", f.path, err)
	}
}
