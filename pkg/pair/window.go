package pair

const windowLen = 1024 // numbers; several whole States of a large host on paths of unequal length

// window knows which of the newest numbers of a sender have been seen.
type window struct {
	newest uint64
	seen   [windowLen / 64]uint64 // by number modulo windowLen
}

// add marks a number as seen. It reports whether that was news; numbers below the
// window count as seen.
func (w *window) add(n uint64) bool {
	switch {
	case n > w.newest:
		if n-w.newest >= windowLen {
			w.seen = [windowLen / 64]uint64{}
		} else {
			for m := w.newest + 1; m < n; m++ {
				w.seen[m%windowLen/64] &^= 1 << (m % 64)
			}
		}
		w.newest = n
		w.seen[n%windowLen/64] |= 1 << (n % 64)
		return true
	case w.newest-n >= windowLen:
		return false
	}
	word, bit := &w.seen[n%windowLen/64], uint64(1)<<(n%64)
	news := *word&bit == 0
	*word |= bit
	return news
}
