package supervise

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strconv"
)

// Descendants returns the pids of the processes below root, parents before children, as /proc shows them now.
func Descendants(root int) []int {
	children := childrenByParent()
	var found []int
	for queue := []int{root}; len(queue) > 0; queue = queue[1:] {
		found = append(found, children[queue[0]]...)
		queue = append(queue, children[queue[0]]...)
	}
	return slices.Clip(found)
}

func childrenByParent() map[int][]int {
	children := map[int][]int{}
	stats, _ := filepath.Glob("/proc/[0-9]*/stat") // the pattern is valid, which is Glob's only error
	for _, path := range stats {
		text, err := os.ReadFile(path)
		if err != nil {
			continue // ended meanwhile
		}
		if pid, parent, ok := parseStat(text); ok {
			children[parent] = append(children[parent], pid)
		}
	}
	return children
}

// parseStat reads pid and parent from a line `pid (name) state parent …`, where the name may hold anything.
func parseStat(text []byte) (pid, parent int, ok bool) {
	head, _, found := bytes.Cut(text, []byte(" ("))
	end := bytes.LastIndex(text, []byte(") "))
	if !found || end < 0 {
		return 0, 0, false
	}
	fields := bytes.Fields(text[end+2:])
	if len(fields) < 2 {
		return 0, 0, false
	}
	pid, err1 := strconv.Atoi(string(head))
	parent, err2 := strconv.Atoi(string(fields[1]))
	return pid, parent, err1 == nil && err2 == nil
}
