package stats

import (
	"encoding/binary"
	"slices"
)

// image builds memory as VPP has it.
type image struct {
	data    []byte
	entries []byte
}

// imageBase is where VPP would have the memory.
const imageBase = 0x7f00_0000_0000

func newImage() *image { return &image{data: make([]byte, 4096)} }

// vector stores a vector and returns the pointer to it.
func (m *image) vector(length int, content []byte) uint64 {
	m.data = append(m.data, make([]byte, -len(m.data)&(word-1))...)
	m.data = binary.NativeEndian.AppendUint32(m.data, uint32(length))
	m.data = append(m.data, 0, 0, 0, 0)
	pointer := imageBase + uint64(len(m.data))
	m.data = append(m.data, content...)
	return pointer
}

func octets(words []uint64) (b []byte) {
	for _, w := range words {
		b = binary.NativeEndian.AppendUint64(b, w)
	}
	return b
}

// counters stores the counters of threads, each of some words.
func (m *image) counters(words int, threads ...[]uint64) uint64 {
	var pointers []uint64
	for _, thread := range threads {
		pointers = append(pointers, m.vector(len(thread)/words, octets(thread)))
	}
	return m.vector(len(pointers), octets(pointers))
}

// entry adds a directory entry and returns its index.
func (m *image) entry(name string, kind uint32, value uint64) uint32 {
	index := len(m.entries) / entrySize
	b := make([]byte, entrySize)
	binary.NativeEndian.PutUint32(b, kind)
	binary.NativeEndian.PutUint64(b[valueAt:], value)
	copy(b[nameAt:], name)
	m.entries = append(m.entries, b...)
	return uint32(index)
}

// symlink adds a directory entry that leads to a counter of another one.
func (m *image) symlink(name string, index, column uint32) {
	b := binary.NativeEndian.AppendUint32(nil, index)
	m.entry(name, kindSymlink, binary.NativeEndian.Uint64(binary.NativeEndian.AppendUint32(b, column)))
}

// finish returns the memory.
func (m *image) finish() []byte {
	directory := m.vector(len(m.entries)/entrySize, m.entries)
	data := slices.Clone(m.data)
	copy(data, octets([]uint64{layout, imageBase, 1, 0, directory}))
	return data
}

// set changes a word of the header.
func set(data []byte, at int, value uint64) []byte {
	data = slices.Clone(data)
	binary.NativeEndian.PutUint64(data[at*word:], value)
	return data
}

// The words of the header.
const (
	atVersion = iota
	atBase
	atEpoch
	atChanging
	atDirectory
)

// sample is memory with something of everything, of a VPP with one worker.
func sample() []byte {
	m := newImage()
	m.entry(nameHeartbeat, kindScalar, 7)
	m.entry(nameBoot, kindScalar, 1_700_000_000)
	m.entry(nameWorkers, kindGauge, 1)
	m.entry(nameVectors, kindSimple, m.counters(1, []uint64{1, 200, 0}))
	m.entry(nameLoops, kindSimple, m.counters(1, []uint64{10, 30_000, 0}))
	m.entry(nameMapRx, kindCombined, m.counters(2, []uint64{1, 100, 0, 0}, []uint64{2, 200, 5, 500}))
	m.entry(nameMapTx, kindCombined, m.counters(2, []uint64{1, 140}, []uint64{2, 280, 4, 560}))
	m.entry(nameIfRx, kindCombined, m.counters(2, []uint64{9, 900}))
	m.entry(nameIfTx, kindCombined, m.counters(2, []uint64{8, 800}))
	m.entry(nameMiss, kindSimple, m.counters(1, []uint64{3, 4}))
	m.entry(nameHeap, kindSimple, m.counters(1, []uint64{1000, 10, 990}))
	m.entry(nameSegment, kindSimple, m.counters(1, []uint64{2000, 20, 1980}))
	errors := m.entry("/node/errors", kindSimple, m.counters(1, []uint64{0, 1, 10}, []uint64{0, 2, 20}))
	m.symlink("/err/ip4-map/no_binding", errors, 1)
	m.symlink("/err/ip4-map/encap_sec_check", errors, 2)
	m.symlink("/err/ip6-map/decap_sec_check", errors, 2)
	m.entry("/a/histogram", 7, 12345) // of a kind that is not read
	return m.finish()
}
