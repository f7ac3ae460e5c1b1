package vrrp

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"
)

// AuthMode says what a virtual router does about authentication. Its text is the
// word of the configuration.
type AuthMode string

// The modes. The first three are the steps in which the hosts of a virtual router
// begin to sign without losing an advert.
const (
	AuthReceiveOnly AuthMode = "receive-only" // verify what is signed, sign nothing
	AuthPermissive  AuthMode = "permissive"   // sign, and still believe what is not signed
	AuthEnforce     AuthMode = "enforce"      // sign, and believe nothing else
	AuthPassword    AuthMode = "password"     // version 2 only: a password in clear text (RFC 2338, Section 5.3.6.2)
)

// AntiReplay says what keeps an advert that was recorded from being believed
// again. Its text is the word of the configuration.
type AntiReplay string

// The ways. In both, the number of an advert must be above the last one of its
// sender.
const (
	// ReplayTime demands that the clocks of both hosts agree within the window.
	ReplayTime AntiReplay = "time"
	// ReplayMonotonic demands no clock, and knows no number of a sender that it has
	// not heard since the start: such a one may be recorded adverts.
	ReplayMonotonic AntiReplay = "monotonic"
)

// Auth is how the adverts of one virtual router are authenticated: by the HMAC
// trailer of draft-cassen-vrrp-auth-hmac, or by a password.
type Auth struct {
	Mode       AuthMode
	Keys       map[uint8]Secret // by id, 1–255: what is believed; from [ParseKey]
	ActiveKey  uint8            // id of the one that signs
	AntiReplay AntiReplay
	Window     time.Duration // by which the clocks of two hosts may differ, 1s–300s
	Password   Secret        // 1–8 bytes; AuthPassword only
}

// signs reports whether adverts are sent with a trailer.
func (a *Auth) signs() bool { return a.Mode == AuthPermissive || a.Mode == AuthEnforce }

// Signing is the id of the key that adverts are signed with, 0 when they are not.
func (a *Auth) Signing() uint8 {
	if !a.signs() {
		return 0
	}
	return a.ActiveKey
}

// verifies reports whether adverts may come with a trailer.
func (a *Auth) verifies() bool { return a != nil && a.Mode != AuthPassword }

// authType is the authentication type of version 2 that adverts have.
func (a *Auth) authType() uint8 {
	if a != nil && a.Mode == AuthPassword {
		return authSimple
	}
	return authNone
}

// Limits of [Auth.Window].
const (
	MinWindow = time.Second
	MaxWindow = 300 * time.Second
)

// DefaultWindow is the window of who sets none: three adverts, 5s at least.
func DefaultWindow(interval time.Duration) time.Duration {
	return min(max(3*interval, 5*time.Second), MaxWindow)
}

// Secret is a key or password. It is never printed.
type Secret string

// String hides the secret, also within what holds it.
func (Secret) String() string { return "***" }

// GoString hides it from %#v.
func (Secret) GoString() string { return "***" }

// MarshalText hides it from documents.
func (Secret) MarshalText() ([]byte, error) { return []byte("***"), nil }

// Lengths of keys and passwords in bytes.
const (
	minKey      = 32
	maxKey      = 64
	maxPassword = authLen
)

// ParseKey reads a key as it stands in a file: "hex:" and 64–128 hexadecimal
// digits, or 32–64 printable ASCII characters. The error does not tell the key.
func ParseKey(text string) (Secret, error) {
	digits, isHex := strings.CutPrefix(text, "hex:")
	if !isHex {
		if strings.ContainsFunc(text, func(r rune) bool { return r > unicode.MaxASCII || !unicode.IsPrint(r) }) {
			return "", errors.New(`holds what is not printable ASCII: write a binary key as "hex:" and its digits`)
		}
		return checkKey(text)
	}
	b, err := hex.DecodeString(digits)
	if err != nil {
		return "", errors.New(`has "hex:" but is not a whole number of bytes in hexadecimal digits`)
	}
	return checkKey(string(b))
}

func checkKey(key string) (Secret, error) {
	if len(key) < minKey || len(key) > maxKey {
		return "", fmt.Errorf("is %d bytes long, must be %d–%d", len(key), minKey, maxKey)
	}
	return Secret(key), nil
}

// ParsePassword reads a password of version 2: 1–8 printable ASCII characters.
// The error does not tell the password.
func ParsePassword(text string) (Secret, error) {
	switch {
	case len(text) == 0 || len(text) > maxPassword:
		return "", fmt.Errorf("is %d bytes long, must be 1–%d", len(text), maxPassword)
	case strings.ContainsFunc(text, func(r rune) bool { return r > unicode.MaxASCII || !unicode.IsPrint(r) }):
		return "", errors.New("holds what is not printable ASCII")
	}
	return Secret(text), nil
}
