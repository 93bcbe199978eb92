// Package rtwindow owns what is young: the changes of the tick under way, the chunks of RT and LATE, which of them a
// tick rewrites (the chunk policy), and the lookup of changed keys in them.
//
//	cdc.Event ──Changes.Add──▶ one entry per key ──Flush──▶ pieces in <table>_changes
//	                                                          │ Resolve (TOAST), Compact (pieces that share keys)
//	                                                          ▼
//	            Locate: which RT and LATE chunks hold the keys ──▶ Rewrite: new RT and LATE chunks ──▶ splitdate.Delta
//
// For each changed key, where the old row lives decides, not its old date: in RT or LATE it is left out of the rewritten
// chunk; else it is historic's to mask. The new row goes to the side that its date says. Every step but the encoding of
// the changes runs inside ClickHouse.
//
// It does not own the split date or the mark (splitdate), nor HISTORIC and its masks (historic). Nothing it writes
// counts before a mark lists it.
package rtwindow
