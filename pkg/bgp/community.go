package bgp

import (
	"errors"
	"strconv"
	"strings"
)

// wellKnown are the communities that have a name.
var wellKnown = map[string]Community{
	"no-export":         NoExport,
	"no-advertise":      NoAdvertise,
	"graceful-shutdown": GracefulShutdown,
}

// ParseCommunity reads what [Community.String] writes: a well-known name, or two
// numbers of 0–65535 with a colon between them.
func ParseCommunity(s string) (Community, error) {
	if c, ok := wellKnown[s]; ok {
		return c, nil
	}
	parts, err := numbers(s, 2, 16)
	if err != nil {
		return 0, err
	}
	return Community(parts[0]<<16 | parts[1]), nil
}

// ParseLargeCommunity reads three numbers of 0–4294967295 with colons between
// them.
func ParseLargeCommunity(s string) (LargeCommunity, error) {
	parts, err := numbers(s, 3, 32)
	if err != nil {
		return LargeCommunity{}, err
	}
	return LargeCommunity{Global: parts[0], Local1: parts[1], Local2: parts[2]}, nil
}

// numbers reads n numbers of so many bits, separated by colons, in the one form
// that they are written in.
func numbers(s string, n, bits int) ([]uint32, error) {
	fields := strings.Split(s, ":")
	if len(fields) != n {
		return nil, errors.New("has not " + strconv.Itoa(n) + " numbers with colons between them")
	}
	list := make([]uint32, n)
	for i, f := range fields {
		v, err := strconv.ParseUint(f, 10, bits)
		if err != nil || strconv.FormatUint(v, 10) != f {
			return nil, errors.New("has a number outside 0–" + strconv.FormatUint(1<<bits-1, 10))
		}
		list[i] = uint32(v)
	}
	return list, nil
}
