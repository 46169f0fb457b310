package softwire

// slotEdit hands out slots during a batch. What the batch gives back is free
// when it is committed, not before.
type slotEdit struct {
	free  []uint32 // of the table, taken from the end
	bound uint32   // all slots that were ever used are below it
	freed []uint32
}

func (e *slotEdit) take() uint32 {
	if n := len(e.free); n > 0 {
		s := e.free[n-1]
		e.free = e.free[:n-1]
		return s
	}
	e.bound++
	return e.bound - 1
}

func (e *slotEdit) give(s uint32) { e.freed = append(e.freed, s) }
