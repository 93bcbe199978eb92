package bridge

import "testing"

// Masks that came while a fold was built may be more than those that went with it: the log had 18446744073709551291 of them once.
func TestFewer(t *testing.T) {
	if a, b := fewer(641, 41), fewer(41, 366); a != 600 || b != 0 {
		t.Errorf("%d and %d fewer", a, b)
	}
}
