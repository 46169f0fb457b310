package fragment

import "fmt"

const (
	maxHeader4 = 60

	optionEnd    = 0
	optionNop    = 1
	optionCopied = 0x80 // the option goes into every fragment
)

// laterHeader writes into dst the header of every fragment but the first: that
// of the packet with only those options that are to be copied, and returns its
// length. The error wraps ErrMalformed.
func laterHeader(dst *[maxHeader4]byte, header []byte) (int, error) {
	n := copy(dst[:], header[:minHeader4])
	for options := header[minHeader4:]; len(options) > 0; {
		length := 1
		switch options[0] {
		case optionEnd:
			return pad(dst, n), nil
		case optionNop:
		default:
			// RFC 791 section 3.1: the length counts the type and itself.
			if len(options) < 2 || options[1] < 2 || int(options[1]) > len(options) {
				return 0, fmt.Errorf("IPv4 options are cut short: %w", ErrMalformed)
			}
			length = int(options[1])
			if options[0]&optionCopied != 0 {
				n += copy(dst[n:], options[:length])
			}
		}
		options = options[length:]
	}
	return pad(dst, n), nil
}

// pad ends the options at a multiple of 4 octets and returns that.
func pad(dst *[maxHeader4]byte, n int) int {
	for ; n%4 != 0; n++ {
		dst[n] = optionEnd
	}
	return n
}
