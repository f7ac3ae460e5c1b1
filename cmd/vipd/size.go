package main

import (
	"errors"
	"strconv"
	"strings"
)

// size is a flag that takes bytes: 1048576, 512K, 64M, 2G, as dd and systemd do.
type size struct{ bytes *int64 }

// units are the powers of 1024.
const units = "KMG"

// Set implements pflag.Value.
func (s *size) Set(text string) error {
	digits, factor := text, int64(1)
	if n := len(text); n > 0 {
		if i := strings.IndexByte(units, text[n-1]); i >= 0 {
			digits, factor = text[:n-1], 1<<(10*(i+1))
		}
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || n < 1 || n > (1<<62)/factor {
		return errors.New("write a size as 512K, 64M or 2G")
	}
	*s.bytes = n * factor
	return nil
}

// String implements pflag.Value.
func (s *size) String() string {
	n := *s.bytes
	for i := len(units) - 1; i >= 0; i-- {
		if unit := int64(1) << (10 * (i + 1)); n > 0 && n%unit == 0 {
			return strconv.FormatInt(n/unit, 10) + units[i:i+1]
		}
	}
	return strconv.FormatInt(n, 10)
}

// Type implements pflag.Value.
func (s *size) Type() string { return "SIZE" }
