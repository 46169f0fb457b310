package main

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
)

// What VPP's heap takes, and the pages for it and for the buffers.
const (
	heapSize  = "1G"
	pageSize  = 2 << 20
	heapPages = 1<<30/pageSize + 64
)

// hugePages are pages of 2 MiB that the kernel has set aside for us, for as long
// as they are claimed.
type hugePages struct {
	claimed bool
	before  int // what there was
}

const hugePagesFile = "/proc/sys/vm/nr_hugepages"

// claimHugePages has the kernel set aside n pages more than it has now.
func claimHugePages(n int) (hugePages, error) {
	before, err := countHugePages()
	if err != nil {
		return hugePages{}, err
	}
	p := hugePages{claimed: true, before: before}
	err = setHugePages(before + n)
	got, readErr := countHugePages()
	if err = errors.Join(err, readErr); err == nil && got < before+n {
		err = fmt.Errorf("the kernel has room for %d of %d", got-before, n)
	}
	if err != nil {
		return hugePages{}, errors.Join(err, p.release())
	}
	return p, nil
}

// release gives them back.
func (p *hugePages) release() error {
	if !p.claimed {
		return nil
	}
	p.claimed = false
	return setHugePages(p.before)
}

func countHugePages() (int, error) {
	data, err := os.ReadFile(hugePagesFile)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(strings.TrimSpace(string(data)))
}

func setHugePages(n int) error {
	return os.WriteFile(hugePagesFile, []byte(strconv.Itoa(n)), 0)
}
