package demo

import (
	"bytes"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"text/template"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/sys/unix"

	"github.com/tidemark-db/tidemark/internal/config"
	"github.com/tidemark-db/tidemark/internal/fault"
)

// folder is where one demo lives.
type folder struct {
	path string
	keep bool
	lock *os.File // held while a demo uses the folder
	log  *os.File
}

const folderTry = "name a folder that you may write to"

// openFolder makes a temporary folder, or takes the one to keep, for this demo alone.
func openFolder(keep string) (*folder, error) {
	if keep == "" {
		path, err := os.MkdirTemp("", "tidemark-demo-")
		if err != nil {
			return nil, fault.New("set TMPDIR to a folder that you may write to", "create a temporary folder: %w", err)
		}
		return &folder{path: path}, nil
	}
	path, err := filepath.Abs(keep)
	if err == nil {
		err = os.MkdirAll(path, 0o755)
	}
	if err != nil {
		return nil, fault.New(folderTry, "--keep %s: %w", keep, err)
	}
	f := &folder{path: path, keep: true}
	f.lock, err = os.OpenFile(filepath.Join(path, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fault.New(folderTry, "--keep %s: %w", keep, err)
	}
	if err := unix.Flock(int(f.lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return nil, errors.Join(fault.New("stop the other demo, or name another folder", "--keep %s: another demo uses it: %w", keep, err), f.lock.Close())
	}
	return f, nil
}

// close removes a temporary folder.
func (f *folder) close() error {
	var errs []error
	for _, file := range []*os.File{f.log, f.lock} {
		if file != nil {
			errs = append(errs, file.Close())
		}
	}
	if !f.keep {
		errs = append(errs, os.RemoveAll(f.path))
	}
	return errors.Join(errs...)
}

// postgres and clickhouse are the folders of the servers' data. "" leaves them to the engines, whose supervisors remove
// a temporary one even when this process is killed.
func (f *folder) postgres() string { return f.server("postgres") }

func (f *folder) clickhouse() string { return f.server("clickhouse") }

func (f *folder) server(name string) string {
	if !f.keep {
		return ""
	}
	return filepath.Join(f.path, name)
}

func (f *folder) configPath() string { return filepath.Join(f.path, "tidemark.yaml") }

func (f *folder) logPath() string { return filepath.Join(f.path, "tidemark.log") }

//go:embed tidemark.yaml.tmpl
var configText string

var configTemplate = template.Must(template.New("tidemark.yaml").Parse(configText))

// configure writes the configuration and loads it. The environment is left out: TIDEMARK_SOURCE_DSN may well name a
// server that is none of the demo's business.
func (f *folder) configure(source, views string, window time.Duration) (*config.Config, error) {
	listen, err := freeAddress()
	if err != nil {
		return nil, err
	}
	var text bytes.Buffer
	err = configTemplate.Execute(&text, map[string]any{"Source": source, "ClickHouse": views, "Window": spoken(window), "Listen": listen})
	if err == nil {
		err = os.WriteFile(f.configPath(), text.Bytes(), 0o644)
	}
	if err != nil {
		return nil, fault.New(folderTry, "write configuration: %w", err)
	}
	return config.Load(f.configPath(), func(string) (string, bool) { return "", false }, nil)
}

// freeAddress returns tidemark's usual address, or another one where that is taken.
func freeAddress() (string, error) {
	var errs []error
	for _, address := range []string{"127.0.0.1:8642", "127.0.0.1:0"} {
		listener, err := net.Listen("tcp", address)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		free := listener.Addr().String()
		return free, listener.Close()
	}
	return "", fmt.Errorf("find a free port: %w", errors.Join(errs...))
}

// logger writes to the log file, and warnings to the given writer too.
func (f *folder) logger(level zerolog.Level, warnings io.Writer) (_ zerolog.Logger, err error) {
	f.log, err = os.OpenFile(f.logPath(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return zerolog.Nop(), fault.New(folderTry, "open log: %w", err)
	}
	both := zerolog.MultiLevelWriter(f.log, &zerolog.FilteredLevelWriter{
		Writer: zerolog.LevelWriterAdapter{Writer: warnings}, Level: zerolog.WarnLevel,
	})
	return zerolog.New(both).Level(level).With().Timestamp().Logger(), nil
}
