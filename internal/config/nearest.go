package config

// nearest returns the word that key is most likely a slip of, or "".
func nearest(key string, words []string) string {
	best, limit := "", 3
	for _, word := range words {
		if d := distance(key, word); d < limit && d < len(word) {
			best, limit = word, d
		}
	}
	return best
}

// distance is Levenshtein's, in bytes.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost = 1 + min(diagonal, row[j], row[j+1])
			}
			diagonal, row[j+1] = row[j+1], cost
		}
	}
	return row[len(b)]
}
