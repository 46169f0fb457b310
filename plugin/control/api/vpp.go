package api

import "time"

// VPP is the process that forwards if that is the data plane.
type VPP struct {
	Version string `json:"version"`
	PID     int    `json:"pid"`
	// Started is missing in VPP's first moments.
	Started *time.Time `json:"started,omitempty"`
	// AnswerSeconds is what VPP took to answer one call.
	AnswerSeconds float64     `json:"answer-seconds"`
	Interfaces    []Interface `json:"interfaces,omitempty"`
	// Threads are the main one and then the workers.
	Threads    []Thread `json:"threads"`
	Heap       Memory   `json:"heap"`
	Statistics Memory   `json:"statistics"` // the stats segment
}

// Interface is one that the configuration names.
type Interface struct {
	Name    string `json:"name"`
	Side    string `json:"side"`    // ipv4 or ipv6
	Enabled bool   `json:"enabled"` // switched on in VPP
	Link    bool   `json:"link"`
}

// Thread is how busy a thread of VPP is, as of the last ten seconds or so.
type Thread struct {
	// VectorRate is how many packets it takes at a time. It grows with the load;
	// a thread that always takes 256 is at its limit.
	VectorRate     uint64 `json:"vector-rate"`
	LoopsPerSecond uint64 `json:"loops-per-second"`
}

// Memory is in octets.
type Memory struct {
	Total uint64 `json:"total"`
	Used  uint64 `json:"used"`
}
