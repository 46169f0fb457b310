package vppapi

import (
	"encoding/binary"
	"fmt"
	"io"
)

// A message is preceded by 16 bytes, of which only the length means something
// (struct msgbuf_ of vlibapi/api_common.h in VPP): a queue pointer of 8 bytes,
// the length of the message, and a mark of the garbage collector.
const (
	frameHeader = 16
	lengthAt    = 8
)

// maxMessage bounds what is allocated for one message. The largest ones are
// the output of show commands.
const maxMessage = 64 << 20

// frame is message with its header.
func frame(message []byte) []byte {
	b := make([]byte, frameHeader, frameHeader+len(message))
	binary.BigEndian.PutUint32(b[lengthAt:], uint32(len(message)))
	return append(b, message...)
}

// readFrame returns the next message of r.
func readFrame(r io.Reader) ([]byte, error) {
	var header [frameHeader]byte
	if _, err := io.ReadFull(r, header[:]); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(header[lengthAt:])
	if n < replyHeader || n > maxMessage {
		return nil, fmt.Errorf("%w: of %d bytes", ErrProtocol, n)
	}
	message := make([]byte, n)
	if _, err := io.ReadFull(r, message); err != nil {
		return nil, err
	}
	return message, nil
}

// A request starts with message number, client and context, a reply with
// message number and context.
const (
	requestHeader = 10
	replyHeader   = 6
)

func replyNumber(message []byte) uint16  { return binary.BigEndian.Uint16(message) }
func replyContext(message []byte) uint32 { return binary.BigEndian.Uint32(message[2:]) }

// address completes the header of an encoded request.
func address(request []byte, client, context uint32) error {
	if len(request) < requestHeader {
		return fmt.Errorf("%w: the request has %d bytes", ErrProtocol, len(request))
	}
	binary.BigEndian.PutUint32(request[2:], client)
	binary.BigEndian.PutUint32(request[6:], context)
	return nil
}
