package config

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"
)

// reader takes each key from where it is written first: flag, environment, file.
type reader struct {
	file    string
	env     func(string) (string, bool)
	flags   []*setting
	envUsed map[string]string // variable to the path that it was read for
	origins map[string]Origin // by path
	values  map[string]any    // by path
	bad     map[string]bool   // paths with a fault, whose value is not checked further
	faults  Faults
}

// setting is one --set flag.
type setting struct {
	parts []string
	path  string
	text  string
	used  bool
}

func newReader(file string, env func(string) (string, bool), flags map[string]string) *reader {
	r := &reader{
		file: file, env: env,
		envUsed: map[string]string{}, origins: map[string]Origin{}, values: map[string]any{}, bad: map[string]bool{},
	}
	for _, key := range slices.Sorted(maps.Keys(flags)) {
		parts, err := splitName(key)
		if err != nil {
			r.fault(Fault{At: flagOrigin, Path: key, What: err.Error(), Try: "write the key as in tables.public.sales.rt_window"})
			continue
		}
		r.flags = append(r.flags, &setting{parts: parts, path: joinParts(parts), text: flags[key]})
	}
	return r
}

var flagOrigin = Origin{Name: "command line"}

func joinParts(parts []string) string {
	quoted := make([]string, len(parts))
	for i, part := range parts {
		quoted[i] = quotePart(part)
	}
	return strings.Join(quoted, ".")
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

func (r *reader) fault(f Fault) {
	if f.Path != "" {
		r.bad[f.Path] = true
	}
	r.faults = append(r.faults, &f)
}

// faultAt reports a fault of a key where its value was written; a key that was not is one that the file lacks.
func (r *reader) faultAt(path, try, format string, args ...any) {
	at, written := r.origins[path]
	if !written {
		at = Origin{Name: r.file}
	}
	r.fault(Fault{Path: path, At: at, What: fmt.Sprintf(format, args...), Try: try})
}

// override returns the scalar of a path, from a flag or the environment.
func (r *reader) override(path string) (string, Origin, bool) {
	for _, s := range r.flags {
		if s.path == path {
			s.used = true
			return s.text, flagOrigin, true
		}
	}
	name := EnvName(path)
	text, ok := r.env(name)
	if !ok {
		name += fileSuffix
		if text, ok = r.fromFile(path, name); !ok {
			return "", Origin{}, false
		}
	}
	if other, taken := r.envUsed[name]; taken && other != path {
		r.fault(Fault{
			Path: path, At: Origin{Name: name}, What: "the variable also stands for " + other,
			Try: "use --set or the file for these two keys",
		})
	}
	r.envUsed[name] = path
	return text, Origin{Name: name}, true
}

// fileSuffix ends the name of a variable that names a file with the value, for secrets that are mounted as files.
const fileSuffix = "_FILE"

func (r *reader) fromFile(path, variable string) (string, bool) {
	file, ok := r.env(variable)
	if !ok {
		return "", false
	}
	text, err := os.ReadFile(file)
	if err != nil {
		r.fault(Fault{
			Path: path, At: Origin{Name: variable}, What: "cannot read the file that it names: " + reasonOf(err),
			Try: "let it name a readable file with nothing but the value in it",
		})
	}
	return strings.TrimRight(string(text), "\r\n"), err == nil
}

// reasonOf is what the system says, without the path: it may be a secret that was put there by mistake.
func reasonOf(err error) string {
	var failed *fs.PathError
	if errors.As(err, &failed) {
		return failed.Err.Error()
	}
	return "it cannot be opened"
}

// EnvName returns the environment variable of a key's path.
func EnvName(path string) string {
	upper := strings.Map(func(c rune) rune {
		switch {
		case c >= 'a' && c <= 'z':
			return c - 'a' + 'A'
		case c >= 'A' && c <= 'Z', c >= '0' && c <= '9':
			return c
		default:
			return '_'
		}
	}, path)
	return "TIDEMARK_" + upper
}

func (r *reader) unusedFlags() {
	for _, s := range r.flags {
		if s.used {
			continue
		}
		r.fault(Fault{Path: s.path, At: flagOrigin, What: "unknown key", Try: "use a key of deploy/tidemark.example.yaml"})
	}
}

// section is a mapping being read. Keys that no one asked for are unknown.
type section struct {
	r     *reader
	path  string
	node  *node
	known []string
}

func (r *reader) section(path string, n *node) *section {
	s := &section{r: r, path: path, node: n}
	for _, f := range r.flags {
		f.used = f.used || f.path == path && f.text == "{}"
	}
	if n != nil && n.kind != mapping && n.kind != absent {
		r.fault(Fault{
			Path: path, At: Origin{r.file, n.line}, What: "is not a mapping of keys to values",
			Try: "write the keys indented under it, or {} for none",
		})
		s.node = nil
	}
	return s
}

func (s *section) sub(key string) *section {
	s.known = append(s.known, key)
	return s.r.section(join(s.path, key), s.node.get(key))
}

// field reads one scalar into dst, which holds the default.
func field[T any](s *section, key string, dst *T, parse func(string) (T, error)) {
	s.known = append(s.known, key)
	path := join(s.path, quotePart(key))
	if text, ok := s.r.scalar(path, s.node.get(key)); ok {
		v, err := parse(text)
		if err != nil {
			s.r.invalid(path, text, err)
			return
		}
		*dst = v
	}
	s.r.values[path] = *dst
}

// wordNull takes YAML's null under a key for the word.
func (s *section) wordNull(key string) {
	if n := s.node.get(key); n != nil && n.kind == absent && n.text == "null" {
		n.kind = scalar
	}
}

func (r *reader) scalar(path string, n *node) (string, bool) {
	text, at, ok := r.override(path)
	if ok {
		r.origins[path] = at
		return text, true
	}
	if n == nil || n.kind == absent {
		return "", false
	}
	r.origins[path] = Origin{r.file, n.line}
	if n.kind != scalar {
		r.faultAt(path, "write one value", "is not a single value")
		return "", false
	}
	return n.text, true
}

// names reads a list of names into dst. Outside the file it is written with commas.
func (s *section) names(key string, dst *[]string) {
	s.known = append(s.known, key)
	path := join(s.path, key)
	if text, at, ok := s.r.override(path); ok {
		s.r.origins[path] = at
		*dst = splitList(text)
	} else if n := s.node.get(key); n != nil && n.kind != absent {
		s.r.origins[path] = Origin{s.r.file, n.line}
		*dst = s.r.list(path, n)
	}
	s.r.values[path] = *dst
}

func (r *reader) list(path string, n *node) []string {
	if n.kind != list {
		r.faultAt(path, "write a list, e.g. [a, b]", "is not a list")
		return nil
	}
	var out []string
	for i, item := range n.items {
		if item.kind != scalar {
			r.fault(Fault{
				Path: fmt.Sprintf("%s[%d]", path, i), At: Origin{r.file, item.line}, What: "is not a name",
				Try: "write a list of names, e.g. [a, b]",
			})
			continue
		}
		out = append(out, item.text)
	}
	return out
}

func splitList(text string) []string {
	text = strings.TrimSuffix(strings.TrimPrefix(strings.TrimSpace(text), "["), "]")
	var out []string
	for part := range strings.SplitSeq(text, ",") {
		if part = strings.TrimSpace(part); part != "" {
			out = append(out, part)
		}
	}
	return out
}

// named returns the names in a mapping whose keys are free, in the order of the file, then those that only flags
// name; a name has as many parts as given.
func (s *section) named(parts int) []string {
	var names []string
	if s.node != nil {
		for _, e := range s.node.entries {
			names = append(names, e.key)
		}
	}
	for _, f := range s.r.flags {
		name, ok := f.under(s.path, parts)
		if ok && !s.has(name, parts) && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

// has compares by parts, so that "public"."sales" is public.sales.
func (s *section) has(name string, parts int) bool {
	if s.node == nil {
		return false
	}
	return slices.ContainsFunc(s.node.entries, func(e *entry) bool {
		if parts == 1 {
			return e.key == name
		}
		split, err := splitName(e.key)
		return err == nil && joinParts(split) == name
	})
}

func (f *setting) under(path string, parts int) (string, bool) {
	prefix := strings.Count(path, ".") + 1
	if split, err := splitName(path); err == nil {
		prefix = len(split)
	}
	if len(f.parts) < prefix+parts || joinParts(f.parts[:prefix]) != path {
		return "", false
	}
	if parts == 1 {
		return f.parts[prefix], true
	}
	return joinParts(f.parts[prefix : prefix+parts]), true
}

// done reports the keys of the file that no one asked for.
func (s *section) done() {
	if s.node == nil {
		return
	}
	for _, e := range s.node.entries {
		if !slices.Contains(s.known, e.key) {
			s.r.fault(Fault{
				Path: join(s.path, quotePart(e.key)), At: Origin{s.r.file, e.line}, What: "unknown key",
				Try: unknownTry(e.key, s.known),
			})
		}
	}
}

func unknownTry(key string, known []string) string {
	if near := nearest(key, known); near != "" {
		return fmt.Sprintf("write %s, or remove the key", near)
	}
	sorted := slices.Sorted(slices.Values(known))
	return "remove it; the keys here are " + strings.Join(sorted, ", ")
}
