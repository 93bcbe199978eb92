// Package historic owns what has settled: HISTORIC's chunks, which are appended and never changed, the masks that say
// which of their rows are dead, and the roll that brings rows over from RT.
//
//	roll: RT rows before S1 ──INSERT SELECT──▶ a new HISTORIC chunk, counted and checksummed against RT
//	late change of a settled row: (chunk, key) ──▶ masks; the chunk is dirty from the next mark on
//	fold: dirty and small chunks without their masked rows, with the rows of LATE ──▶ one new chunk per period
//
// It owns neither the split date and the mark (splitdate) nor RT and LATE (rtwindow). Nothing it writes counts before a
// mark lists it.
package historic
