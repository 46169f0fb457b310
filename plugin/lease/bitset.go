package lease

import "math/bits"

// bitset is a set of numbers below a size, as a tree of words: a bit of a level
// says whether a word of the level below has any, so that the least number is
// found in as many steps as there are levels.
type bitset struct {
	levels [][]uint64 // the numbers first, a single word last
	count  int
}

func newBitset(size int) *bitset {
	s := &bitset{}
	for {
		size = (size + 63) / 64
		s.levels = append(s.levels, make([]uint64, max(size, 1)))
		if size <= 1 {
			return s
		}
	}
}

func (s *bitset) has(n int) bool { return s.levels[0][n/64]&(1<<(n%64)) != 0 }

func (s *bitset) add(n int) {
	if s.has(n) {
		return
	}
	s.count++
	for _, words := range s.levels {
		before := words[n/64]
		words[n/64] |= 1 << (n % 64)
		if before != 0 {
			return
		}
		n /= 64
	}
}

func (s *bitset) remove(n int) {
	if !s.has(n) {
		return
	}
	s.count--
	for _, words := range s.levels {
		words[n/64] &^= 1 << (n % 64)
		if words[n/64] != 0 {
			return
		}
		n /= 64
	}
}

// next is the least number from n on.
func (s *bitset) next(n int) (int, bool) {
	for level := 0; level < len(s.levels) && n/64 < len(s.levels[level]); level++ {
		if rest := s.levels[level][n/64] >> (n % 64); rest != 0 {
			return s.leastBelow(level, n+bits.TrailingZeros64(rest)), true
		}
		n = n/64 + 1
	}
	return 0, false
}

// leastBelow is the least number below bit n of a level.
func (s *bitset) leastBelow(level, n int) int {
	for level > 0 {
		level--
		n = n*64 + bits.TrailingZeros64(s.levels[level][n])
	}
	return n
}
