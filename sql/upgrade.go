package sql

import "fmt"

// Statements that bring what format 1 of the mark had to where format 2 has it.

// UpgradeChunks copies chunks of a region from the internal table that it had to itself. Those of HISTORIC get the numbers of
// settled ones. Parameter: chunks.
func (t *Table) UpgradeChunks(r Region) Statement {
	number := Ident(t.ChunkColumn())
	if r == Historic {
		number = settled(t.prefix + "chunk")
	}
	return t.renderOnce("upgrade_chunks.sql", string(r), func() any {
		return struct {
			*Table
			From, Number string
		}{t, t.regionView(r), number}
	})
}

// DropChunks returns the statement that drops what an upgrade has copied.
func (t *Table) DropChunks() Statement {
	return render(t.Database, "drop_table.sql", map[string]string{"Name": t.Chunks()})
}

// UpgradeMasks makes one chunk of masks on settled chunks of the ones on the chunks that they were. Parameters: to, masks.
func (t *Table) UpgradeMasks() Statement { return t.once("upgrade_masks.sql") }

// ApartNames are the names of the internal tables that regions had to themselves; those of views now.
func (t *Table) ApartNames() (out []string) {
	for _, r := range RowRegions() {
		out = append(out, t.regionPrefix()+"_"+string(r))
	}
	return out
}

// ListApart returns the statement that lists those of such tables that are still there. Parameters: database, names.
func (d Database) ListApart() Statement { return d.render("list_apart.sql") }

// DropApart returns the statement that drops one.
func (d Database) DropApart(name string) Statement {
	return render(d, "drop_table.sql", map[string]string{"Name": qualified(d.Internals(), name)})
}

// settled renders the number of a settled chunk.
func settled(column string) string {
	return fmt.Sprintf("bitOr(%s, %d)", Ident(column), uint64(1)<<SettledBit)
}
