package splitdate

import (
	"maps"
	"slices"

	"github.com/tidemark-db/tidemark/sql"
)

// Then returns the delta that does both, one after the other, in one mark. What the first writes and the second drops is
// scratch.
func (d Delta) Then(next Delta) (both Delta) {
	both = d
	both.Scratch = map[sql.Region][]Chunk{}
	for _, r := range sql.Regions() {
		both.Scratch[r] = slices.Concat(d.Scratch[r], next.Scratch[r])
	}
	both.Written = maps.Clone(d.Written)
	if both.Written == nil {
		both.Written = map[Chunk]Meta{}
	}
	maps.Copy(both.Written, next.Written)
	for _, list := range []struct {
		region    sql.Region
		add, drop *[]Chunk
		nextAdd   []Chunk
		nextDrop  []Chunk
	}{
		{sql.RT, &both.AddRT, &both.DropRT, next.AddRT, next.DropRT},
		{sql.Late, &both.AddLate, &both.DropLate, next.AddLate, next.DropLate},
		{sql.Historic, &both.AddHistoric, &both.DropHistoric, next.AddHistoric, next.DropHistoric},
		{sql.Masks, &both.AddMasks, &both.DropMasks, next.AddMasks, next.DropMasks},
	} {
		added := *list.add
		*list.add, *list.drop = nil, slices.Clone(*list.drop)
		for _, c := range added {
			if slices.Contains(list.nextDrop, c) {
				both.Scratch[list.region] = append(both.Scratch[list.region], c)
				delete(both.Written, c)
			} else {
				*list.add = append(*list.add, c)
			}
		}
		for _, c := range list.nextDrop {
			if !slices.Contains(added, c) {
				*list.drop = append(*list.drop, c)
			}
		}
		*list.add = append(*list.add, list.nextAdd...)
	}
	both.Masked = slices.DeleteFunc(slices.Concat(d.Masked, next.Masked), func(c Chunk) bool {
		return slices.Contains(next.DropHistoric, c)
	})
	if next.Split != nil {
		both.Split = next.Split
	}
	return both
}
