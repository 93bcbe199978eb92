package cdc

import "testing"

func TestFullName(t *testing.T) {
	for full, parts := range map[string][2]string{
		"public.sales":        {"public", "sales"},
		`"a.b".c`:             {"a.b", "c"},
		`a."b.c"`:             {"a", "b.c"},
		`"""".""""""`:         {`"`, `""`},
		`"a"".""b"."."`:       {`a"."b`, "."},
		"Mixed Case.ünï-cödé": {"Mixed Case", "ünï-cödé"},
	} {
		if got := FullName(parts[0], parts[1]); got != full {
			t.Errorf("%q is called %s, want %s", parts, got, full)
		}
		if schema, name := splitName(full); schema != parts[0] || name != parts[1] {
			t.Errorf("%s is taken apart into %q and %q", full, schema, name)
		}
	}
}
