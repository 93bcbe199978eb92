package e2e

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/tidemark-db/tidemark/internal/bridge"
	"github.com/tidemark-db/tidemark/internal/rig"
)

// typesRig is a table with two columns of each case's type: v0 … that may be NULL, and n0 … that are NOT NULL.
type typesRig struct {
	*rig.Rig
	t     *testing.T
	cases []typeCase
	plain *pgx.Conn // prints values as PostgreSQL itself does under the settings that docs/types.md names
}

// typeRows is how many rows each step writes: more than any case has hand-picked values.
const typeRows = 40

func newTypesRig(t *testing.T) *typesRig {
	t.Helper()
	r := &typesRig{Rig: rig.New(t, servers, typeSetup...), t: t}
	r.cases = typesOf(t, r.Rig, typeCases())
	random := rand.New(rand.NewPCG(1, 2))
	var columns, types, policies []string
	for i := range r.cases {
		c := &r.cases[i]
		for c.random != nil && len(c.values) < 2*typeRows {
			c.values = append(c.values, c.random(random))
		}
		columns = append(columns, fmt.Sprintf("v%d %s, n%d %s NOT NULL", i, c.source, i, c.source))
		for _, name := range []string{"v", "n"} {
			if c.override != "" {
				types = append(types, fmt.Sprintf("%s%d: %q", name, i, c.override))
			}
			if c.policy != "" {
				policies = append(policies, fmt.Sprintf("%s%d: %s", name, i, c.policy))
			}
		}
	}
	r.exec("CREATE TABLE types (id int PRIMARY KEY, d timestamptz NOT NULL, " + strings.Join(columns, ", ") + ")")
	r.exec("CREATE PUBLICATION tidemark FOR TABLE types")
	r.plain = r.connectPlain()
	r.ConfigFile(fmt.Sprintf("#zone Asia/Tokyo\ntick: 100ms\nschedule: {roll: \"\", resync: \"\"}\ntables:\n  public.types: {date_column: d, columns: {types: {%s}, out_of_range: {%s}}}",
		strings.Join(types, ", "), strings.Join(policies, ", ")))
	return r
}

// typesOf leaves out the types that the server is too old for.
func typesOf(t *testing.T, r *rig.Rig, cases []typeCase) []typeCase {
	t.Helper()
	var version int
	if err := r.PG.QueryRow(t.Context(), "SELECT current_setting('server_version_num')::int / 10000").Scan(&version); err != nil {
		t.Fatal(err)
	}
	return slices.DeleteFunc(cases, func(c typeCase) bool { return c.since > version })
}

func (r *typesRig) connectPlain() *pgx.Conn {
	r.t.Helper()
	config, err := pgx.ParseConfig(r.SourceDSN())
	if err != nil {
		r.t.Fatal(err)
	}
	for name, value := range map[string]string{
		"datestyle": "ISO, YMD", "intervalstyle": "postgres", "timezone": "UTC", "extra_float_digits": "3", "bytea_output": "hex",
		"client_encoding": "UTF8", "lc_monetary": "C", "search_path": "pg_catalog",
	} {
		config.RuntimeParams[name] = value
	}
	config.DefaultQueryExecMode = pgx.QueryExecModeSimpleProtocol
	conn, err := pgx.ConnectConfig(r.t.Context(), config)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { _ = conn.Close(r.t.Context()) })
	return conn
}

// literals are the values of row n, v and n for each case. Every seventh v is NULL.
func (r *typesRig) literals(n int) (out []string) {
	quote := func(c typeCase, value string) string {
		return "'" + strings.ReplaceAll(value, "'", "''") + "'::" + c.source
	}
	for i, c := range r.cases {
		both := append(append([]string{}, c.odd...), c.values...)
		v := quote(c, both[(n+i)%len(both)])
		if (n+i)%7 == 0 && !strings.HasPrefix(c.nullable, "Array") {
			v = "NULL"
		}
		out = append(out, v, quote(c, c.values[(n+i)%len(c.values)]))
	}
	return out
}

func (r *typesRig) columns() (out []string) {
	for i := range r.cases {
		out = append(out, fmt.Sprintf("v%d", i), fmt.Sprintf("n%d", i))
	}
	return out
}

// insert writes rows with ids from first on; every other one is settled long ago.
func (r *typesRig) insert(first int) {
	r.t.Helper()
	for n := first; n < first+typeRows; n++ {
		date := []string{"now()", "'2024-02-29 12:00Z'"}[n%2]
		r.exec(fmt.Sprintf("INSERT INTO types VALUES (%d, %s, %s)", n, date, strings.Join(r.literals(n), ", ")))
	}
}

// update gives every row the values of another one.
func (r *typesRig) update() {
	r.t.Helper()
	var ids []int
	rows, err := r.PG.Query(r.t.Context(), "SELECT id FROM types ORDER BY id")
	if err == nil {
		ids, err = pgx.CollectRows(rows, pgx.RowTo[int])
	}
	if err != nil {
		r.t.Fatal(err)
	}
	columns := r.columns()
	for _, id := range ids {
		literals := r.literals(id + 3)
		sets := make([]string, len(columns))
		for i, c := range columns {
			sets[i] = c + " = " + literals[i]
		}
		r.exec(fmt.Sprintf("UPDATE types SET %s WHERE id = %d", strings.Join(sets, ", "), id))
	}
}

func (r *typesRig) exec(statement string) {
	r.t.Helper()
	if _, err := r.PG.Exec(r.t.Context(), statement, pgx.QueryExecModeSimpleProtocol); err != nil {
		r.t.Fatalf("%.300s: %v", statement, err)
	}
}

// TestTypes sends each type's values through the snapshot, the stream, late changes, a fold, a verification and a load.
func TestTypes(t *testing.T) {
	t.Parallel()
	r := newTypesRig(t)
	r.insert(0)
	b := r.Run(r.Dir+"/tidemark.yaml", bridge.Options{CheckInvariants: true})
	types := r.checkTypes()
	r.compare("the snapshot", types)
	r.insert(typeRows)
	r.compare("inserts", types)
	r.update()
	r.compare("updates", types)
	r.exec("ALTER TYPE mood ADD VALUE 'new'")
	for i, c := range r.cases {
		if c.source == "mood" {
			r.exec(fmt.Sprintf("UPDATE types SET v%d = 'new', n%d = 'new' WHERE id %% 3 = 0", i, i))
		}
	}
	r.exec("DELETE FROM types WHERE id % 5 = 0")
	r.compare("a new label and deletes", types)
	if _, err := b.Resync(t.Context(), bridge.Request{}); err != nil {
		t.Fatal(err)
	}
	r.compare("a fold", types)
	proofs, err := b.Verify(t.Context(), bridge.Request{})
	if err != nil || len(proofs) == 0 {
		t.Fatalf("verify: %v, %v", proofs, err)
	}
	for _, p := range proofs {
		if !p.Equal {
			t.Errorf("verify: %+v", p)
		}
	}
	if _, err := b.Reload(t.Context(), bridge.Request{}); err != nil {
		t.Fatal(err)
	}
	r.compare("a load", types)
	_ = b.Stop()
}

// checkTypes compares the types of the view with what docs/types.md says, and returns them by column.
func (r *typesRig) checkTypes() map[string]string {
	r.t.Helper()
	r.WaitLSN(1)
	types := map[string]string{}
	rows, err := r.CH.Query(r.t.Context(), "SELECT name, type FROM system.columns WHERE database = ? AND table = 'types'", r.Name)
	if err != nil {
		r.t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var name, typ string
		if err := rows.Scan(&name, &typ); err != nil {
			r.t.Fatal(err)
		}
		types[name] = typ
	}
	for i, c := range r.cases {
		plain, nullable := c.target, c.nullable
		if nullable == "" {
			nullable = "Nullable(" + plain + ")"
		}
		if c.policy == `"null"` {
			plain = nullable
		}
		if got := types[fmt.Sprintf("n%d", i)]; got != plain {
			r.t.Errorf("%s NOT NULL %s is %s, want %s", c.source, c.override, got, plain)
		}
		if got := types[fmt.Sprintf("v%d", i)]; got != nullable {
			r.t.Errorf("%s %s is %s, want %s", c.source, c.override, got, nullable)
		}
	}
	return types
}

// compare compares the view with the table value by value, as texts.
func (r *typesRig) compare(step string, types map[string]string) {
	r.t.Helper()
	r.WaitLSN(1)
	columns := r.columns()
	want, got := r.postgresRows(columns), r.viewRows(columns, types)
	if len(want) != len(got) {
		r.t.Fatalf("%s: %d rows, the view has %d", step, len(want), len(got))
	}
	for id, row := range want {
		for i, name := range columns {
			if g := got[id]; g == nil || !sameValue(types[name], g[i], row[i]) {
				r.t.Errorf("%s: row %d, %s (%s in %s): PostgreSQL has %.200q, the view %.200q", step, id, name, r.cases[i/2].source, types[name], row[i], g[i])
			}
		}
	}
}

// null stands for NULL among texts.
const null = "\x00NULL"

func (r *typesRig) postgresRows(columns []string) map[int][]string {
	r.t.Helper()
	exprs := make([]string, len(columns))
	for i, name := range columns {
		if exprs[i] = name; r.cases[i/2].effective != "" {
			exprs[i] = fmt.Sprintf("CASE WHEN %s IS NOT NULL THEN %s END", name, fmt.Sprintf(r.cases[i/2].effective, name))
		}
	}
	rows, err := r.plain.Query(r.t.Context(), "SELECT id, "+strings.Join(exprs, ", ")+" FROM public.types")
	if err != nil {
		r.t.Fatal(err)
	}
	defer rows.Close()
	out := map[int][]string{}
	for rows.Next() {
		raw := rows.RawValues()
		id, _ := strconv.Atoi(string(raw[0]))
		for _, v := range raw[1:] {
			text := null
			if v != nil {
				text = string(v)
			}
			out[id] = append(out[id], text)
		}
	}
	if rows.Err() != nil {
		r.t.Fatal(rows.Err())
	}
	return out
}

// viewRows reads the view with every value written as PostgreSQL writes it.
func (r *typesRig) viewRows(columns []string, types map[string]string) map[int][]string {
	r.t.Helper()
	exprs := make([]string, len(columns))
	for i, name := range columns {
		typ := strings.TrimSuffix(strings.TrimPrefix(types[name], "Nullable("), ")")
		if types[name] == typ || !strings.HasPrefix(types[name], "Nullable(") {
			typ = types[name]
		}
		exprs[i] = "ifNull(" + postgresText(typ, r.cases[i/2].source, name) + ", concat(char(0), 'NULL'))"
	}
	rows, err := r.CH.Query(r.t.Context(), fmt.Sprintf("SELECT id, [%s] FROM %s.types", strings.Join(exprs, ", "), r.Name))
	if err != nil {
		r.t.Fatal(err)
	}
	defer rows.Close()
	out := map[int][]string{}
	for rows.Next() {
		var id int32
		var texts []string
		if err := rows.Scan(&id, &texts); err != nil {
			r.t.Fatal(err)
		}
		out[int(id)] = texts
	}
	if rows.Err() != nil {
		r.t.Fatal(rows.Err())
	}
	return out
}

// postgresText is an expression of ClickHouse that writes a value of a type as PostgreSQL does.
func postgresText(typ, source, name string) string {
	switch {
	case strings.HasPrefix(typ, "Array("):
		elem := strings.TrimSuffix(strings.TrimPrefix(typ, "Array("), ")")
		if inner, ok := strings.CutPrefix(elem, "Nullable("); ok {
			elem = strings.TrimSuffix(inner, ")")
		}
		text := postgresText(elem, strings.TrimSuffix(source, "[]"), "assumeNotNull(x)")
		quoted := `concat('"', replaceRegexpAll(` + text + `, '(["\\\\])', '\\\\\\1'), '"')`
		return "concat('{', arrayStringConcat(arrayMap(x -> multiIf(isNull(x), 'NULL', match(" + text +
			`, '^$|[{}",\\\\\\x09-\\x0d ]|^(?i)null$'), ` + quoted + ", " + text + "), " + name + "), ','), '}')"
	case typ == "Bool":
		return "transform(toUInt8(" + name + "), [0, 1], ['f', 't'], NULL)"
	case source == "bytea":
		return `concat('\\x', lower(hex(` + name + ")))"
	case strings.HasPrefix(typ, "Decimal("):
		return fmt.Sprintf("toDecimalString(%s, %s)", name, strings.TrimSuffix(typ[strings.Index(typ, ", ")+2:], ")"))
	case source == "timestamptz" && typ != "String":
		return "concat(toString(" + name + "), '+00')"
	default:
		return "toString(" + name + ")"
	}
}

// sameValue allows what differs in writing alone: a float's exponent, the zeros at a timestamp's or numeric's end.
func sameValue(typ, got, want string) bool {
	switch {
	case got == want:
		return true
	case strings.Contains(typ, "Array("):
		return sameElements(typ, got, want)
	case strings.Contains(typ, "Float32"):
		return sameFloat(got, want, 32)
	case strings.Contains(typ, "Float64"):
		return sameFloat(got, want, 64)
	case strings.Contains(typ, "DateTime64"):
		return withDigits(got) == withDigits(want)
	case strings.Contains(typ, "Decimal(76, 38)"): // of a numeric without a scale
		return strings.Contains(want, ".") && strings.TrimRight(strings.TrimRight(got, "0"), ".") == strings.TrimRight(strings.TrimRight(want, "0"), ".") || got == want+"."+strings.Repeat("0", 38)
	default:
		return false
	}
}

func sameElements(typ, got, want string) bool {
	g, w := strings.Split(got, ","), strings.Split(want, ",")
	for i := range g {
		if len(g) != len(w) || !sameValue(strings.ReplaceAll(typ, "Array(", ""), strings.Trim(g[i], `{}"`), strings.Trim(w[i], `{}"`)) {
			return false
		}
	}
	return true
}

func sameFloat(got, want string, bits int) bool {
	g, err := strconv.ParseFloat(got, bits)
	if err != nil {
		return false
	}
	w, err := strconv.ParseFloat(want, bits)
	return err == nil && (math.Float64bits(g) == math.Float64bits(w) || math.IsNaN(g) && math.IsNaN(w))
}

// withDigits gives a timestamp all six digits.
func withDigits(text string) string {
	text, zone, _ := strings.Cut(text, "+")
	whole, fraction, _ := strings.Cut(text, ".")
	return whole + "." + fraction + strings.Repeat("0", max(0, 6-len(fraction))) + zone
}
