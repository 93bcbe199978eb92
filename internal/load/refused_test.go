package load

import (
	"testing"

	"github.com/tidemark-db/tidemark/cdc"
	"github.com/tidemark-db/tidemark/splitdate"
	"github.com/tidemark-db/tidemark/sql"
)

// A value that is refused is named with its row, as PostgreSQL shows both, in whichever format they came.
func TestRefusedIsNamed(t *testing.T) {
	source := sql.SourceColumn{Name: "born", TypeOID: oidDate, TypeMod: -1}
	typ, err := sql.MapType(source, "UTC", sql.Override{})
	if err != nil {
		t.Fatal(err)
	}
	table, err := sql.NewTable(sql.TableConfig{Database: "shop", Source: "public.people", Name: "people", Key: []string{"id"}, Columns: []sql.Column{
		{Name: "id", Type: sql.Type{Name: "Int64", Kind: sql.KindInt64}, Binary: sql.BinaryInt}, {Name: "born", Type: typ, Binary: sql.BinaryOf(source, typ)},
	}})
	if err != nil {
		t.Fatal(err)
	}
	l, err := New(nil, table, Options{Barrier: 0x16, Numbers: func() splitdate.Chunk { return 1 }})
	if err != nil {
		t.Fatal(err)
	}
	if !l.Binary() {
		t.Error("the table is not read in binary")
	}
	binary := cdc.Tuple{cdc.NewValue(cdc.Binary, []byte{0, 0, 0, 0, 0, 0, 1, 2}), cdc.NewValue(cdc.Binary, []byte{0x7f, 0xff, 0xff, 0xff})}
	text := cdc.Tuple{cdc.NewValue(cdc.Text, []byte("258")), cdc.NewValue(cdc.Text, []byte("infinity"))}
	const want = `row id=258, as of 0/16: column born: Nullable(Date32) cannot hold "infinity": ClickHouse has no infinite dates and times`
	for _, row := range []cdc.Tuple{binary, text} {
		if err := l.Add(t.Context(), 0, []cdc.Tuple{row}); err == nil || err.Error() != want {
			t.Errorf("%v\nwant %s", err, want)
		}
	}
}
