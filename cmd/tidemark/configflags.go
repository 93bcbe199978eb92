package main

import (
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tidemark-db/tidemark/internal/config"
)

// configFlags are the flags of the commands that need a configuration.
type configFlags struct {
	path  string
	set   []string
	named map[string]*string // flags that stand for a key, by the key's path
}

func newConfigFlags(cmd *cobra.Command) *configFlags {
	f := &configFlags{named: map[string]*string{}}
	cmd.Flags().StringVarP(&f.path, "config", "c", "", "configuration `file` (required)")
	cmd.Flags().StringArrayVar(&f.set, "set", nil, "`key=value` in place of the file's, e.g. --set limits.late_rows=50000; may be repeated")
	return f
}

// stands adds a flag that stands for one key.
func (f *configFlags) stands(cmd *cobra.Command, flag, key, usage string) {
	f.named[key] = cmd.Flags().String(flag, "", usage+" (the key "+key+")")
}

func (f *configFlags) load(cmd *cobra.Command) (*config.Config, error) {
	if f.path == "" {
		return nil, usagef(cmd.CommandPath()+" -c tidemark.yaml", "%s needs a configuration file", cmd.CommandPath())
	}
	flags, err := f.values(cmd)
	if err != nil {
		return nil, err
	}
	return config.Load(f.path, os.LookupEnv, flags)
}

func (f *configFlags) values(cmd *cobra.Command) (map[string]string, error) {
	flags := map[string]string{}
	for key, value := range f.named {
		if *value != "" {
			flags[key] = *value
		}
	}
	for _, text := range f.set {
		key, value, ok := strings.Cut(text, "=")
		if !ok || key == "" {
			return nil, usagef("write e.g. --set tick=500ms", "%s: --set takes key=value, not %q", cmd.CommandPath(), config.Redact(text))
		}
		flags[key] = value
	}
	return flags, nil
}
