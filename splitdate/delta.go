package splitdate

import (
	"maps"
	"slices"

	"github.com/tidemark-db/tidemark/sql"
)

// Then returns the delta that does both, one after the other, in one mark; and the chunks that the first writes and the
// second drops, by region: no mark will ever list them.
func (d Delta) Then(next Delta) (both Delta, unlisted map[sql.Region][]Chunk) {
	both, unlisted = d, map[sql.Region][]Chunk{}
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
				unlisted[list.region] = append(unlisted[list.region], c)
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
	return both, unlisted
}
