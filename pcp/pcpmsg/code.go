package pcpmsg

import (
	"fmt"
	"time"
)

// Sizes and numbers of RFC 6887 sections 7, 8 and 19.1.
const (
	Version      = 2    // the only one that is spoken here
	HeaderLength = 24   // octets
	MaxLength    = 1100 // octets of UDP payload
	ServerPort   = 5351
	AnnouncePort = 5350 // where clients listen for multicast announcements
)

// Opcode says what a message is about, 0 to 127.
type Opcode uint8

// The opcodes of RFC 6887 section 19.2 and, the last, of RFC 7652.
const (
	Announce Opcode = iota
	Map
	Peer
	Authentication
)

var opcodeNames = [...]string{
	Announce: "ANNOUNCE", Map: "MAP", Peer: "PEER", Authentication: "AUTHENTICATION",
}

// String is the opcode's name in its RFC, or its number.
func (o Opcode) String() string {
	if int(o) < len(opcodeNames) {
		return opcodeNames[o]
	}
	return fmt.Sprintf("opcode %d", uint8(o))
}

// ResultCode is how a server answers.
type ResultCode uint8

// The result codes of RFC 6887 section 7.4, RFC 7652 section 7 and, the last
// three, RFC 7843 section 4.1.
const (
	Success ResultCode = iota
	UnsuppVersion
	NotAuthorized
	MalformedRequest
	UnsuppOpcode
	UnsuppOption
	MalformedOption
	NetworkFailure
	NoResources
	UnsuppProtocol
	UserExQuota
	CannotProvideExternal
	AddressMismatch
	ExcessiveRemotePeers
	Initiation
	AuthenticationRequired
	AuthenticationFailed
	AuthenticationSucceeded
	AuthorizationFailed
	SessionTerminated
	UnknownSessionID
	DowngradeAttackDetected
	AuthenticationRequest
	AuthenticationReply
	ThirdPartyIDUnknown
	ThirdPartyMissingOption
	UnsuppThirdPartyIDLength
)

var resultNames = [...]string{
	Success:                  "SUCCESS",
	UnsuppVersion:            "UNSUPP_VERSION",
	NotAuthorized:            "NOT_AUTHORIZED",
	MalformedRequest:         "MALFORMED_REQUEST",
	UnsuppOpcode:             "UNSUPP_OPCODE",
	UnsuppOption:             "UNSUPP_OPTION",
	MalformedOption:          "MALFORMED_OPTION",
	NetworkFailure:           "NETWORK_FAILURE",
	NoResources:              "NO_RESOURCES",
	UnsuppProtocol:           "UNSUPP_PROTOCOL",
	UserExQuota:              "USER_EX_QUOTA",
	CannotProvideExternal:    "CANNOT_PROVIDE_EXTERNAL",
	AddressMismatch:          "ADDRESS_MISMATCH",
	ExcessiveRemotePeers:     "EXCESSIVE_REMOTE_PEERS",
	Initiation:               "INITIATION",
	AuthenticationRequired:   "AUTHENTICATION_REQUIRED",
	AuthenticationFailed:     "AUTHENTICATION_FAILED",
	AuthenticationSucceeded:  "AUTHENTICATION_SUCCEEDED",
	AuthorizationFailed:      "AUTHORIZATION_FAILED",
	SessionTerminated:        "SESSION_TERMINATED",
	UnknownSessionID:         "UNKNOWN_SESSION_ID",
	DowngradeAttackDetected:  "DOWNGRADE_ATTACK_DETECTED",
	AuthenticationRequest:    "AUTHENTICATION_REQUEST",
	AuthenticationReply:      "AUTHENTICATION_REPLY",
	ThirdPartyIDUnknown:      "THIRD_PARTY_ID_UNKNOWN",
	ThirdPartyMissingOption:  "THIRD_PARTY_MISSING_OPTION",
	UnsuppThirdPartyIDLength: "UNSUPP_THIRD_PARTY_ID_LENGTH",
}

// String is the code's name in its RFC, or its number.
func (c ResultCode) String() string {
	if int(c) < len(resultNames) {
		return resultNames[c]
	}
	return fmt.Sprintf("result code %d", uint8(c))
}

// The lifetimes that RFC 6887 section 7.4 recommends for its two classes of
// errors.
const (
	shortErrorLifetime = 30 * time.Second
	longErrorLifetime  = 30 * time.Minute
)

// ErrorLifetime is how long the RFCs recommend a client to expect the same
// error: 30 s or 30 min. RFC 6887 leaves that of CANNOT_PROVIDE_EXTERNAL to its
// cause; here it is 30 s. Success has none.
func (c ResultCode) ErrorLifetime() time.Duration {
	switch c {
	case Success:
		return 0
	case NetworkFailure, NoResources, UserExQuota, CannotProvideExternal:
		return shortErrorLifetime
	default:
		return longErrorLifetime
	}
}
