package feed

// Program is how to start a speaker: a program that calls speaker.Main first of
// all, usually the one that runs.
type Program struct {
	Path string   // of the executable
	Args []string // all of them, the name it goes by included; only people read them
}

// Handshake in its environment tells a program that it was started as a speaker,
// and that Descriptor is its socket.
const (
	Handshake  = "LW4O6_BGP_SPEAKER=1"
	Descriptor = 3
)
