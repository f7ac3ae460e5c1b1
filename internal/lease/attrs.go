package lease

import (
	"encoding/binary"
	"syscall"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// Reading of attributes; what is malformed reads as nothing.

func attrType(a syscall.NetlinkRouteAttr) uint16 {
	return a.Attr.Type &^ (unix.NLA_F_NESTED | unix.NLA_F_NET_BYTEORDER)
}

// number is the value of the attribute that is a number of 32 bits.
func number(attrs []syscall.NetlinkRouteAttr, kind uint16) uint32 {
	b := value(attrs, kind)
	if len(b) < 4 {
		return 0
	}
	return binary.BigEndian.Uint32(b)
}

// str is the value of the attribute that is a name.
func str(attrs []syscall.NetlinkRouteAttr, kind uint16) string {
	return unix.ByteSliceToString(value(attrs, kind))
}

// value is that of the first attribute of the kind along the path of kinds.
func value(attrs []syscall.NetlinkRouteAttr, path ...uint16) []byte {
	for _, a := range attrs {
		if attrType(a) != path[0] {
			continue
		}
		if len(path) == 1 {
			return a.Value
		}
		inner, err := nl.ParseRouteAttr(a.Value)
		if err != nil {
			return nil
		}
		return value(inner, path[1:]...)
	}
	return nil
}

// eachElement calls each with the key of every element in one message, and with
// the chain that a map gives for it.
func eachElement(attrs []syscall.NetlinkRouteAttr, each func(key []byte, chain string)) {
	list, err := nl.ParseRouteAttr(value(attrs, unix.NFTA_SET_ELEM_LIST_ELEMENTS))
	if err != nil {
		return
	}
	for _, e := range list {
		inner, err := nl.ParseRouteAttr(e.Value)
		if err != nil {
			return
		}
		each(value(inner, unix.NFTA_SET_ELEM_KEY, unix.NFTA_DATA_VALUE),
			unix.ByteSliceToString(value(inner, unix.NFTA_SET_ELEM_DATA, unix.NFTA_DATA_VERDICT, unix.NFTA_VERDICT_CHAIN)))
	}
}
