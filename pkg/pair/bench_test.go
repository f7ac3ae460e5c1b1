package pair

import (
	"fmt"
	"testing"
)

// BenchmarkSend encodes a State and seals its parts for one peer.
func BenchmarkSend(b *testing.B) {
	for _, vips := range []int{1, 255} {
		b.Run(fmt.Sprint(vips), func(b *testing.B) {
			s, key, session := large(vips), newKey(b, secret), NewSession("lb1", "lb2", 100)
			var parts Parts
			var buf []byte
			b.ReportAllocs()
			for b.Loop() {
				must(b, parts.Encode(&s))
				for i := range parts.Len() {
					var err error
					buf, err = key.Seal(buf[:0], session.Next(start, TypeState), parts.At(i))
					must(b, err)
				}
			}
			b.ReportMetric(float64(parts.Len()), "datagrams")
		})
	}
}

// BenchmarkReceive opens the datagrams of a State, judges and reads them.
func BenchmarkReceive(b *testing.B) {
	for _, vips := range []int{1, 255} {
		b.Run(fmt.Sprint(vips), func(b *testing.B) {
			s, key := large(vips), newKey(b, secret)
			var parts Parts
			must(b, parts.Encode(&s))
			me, peer := ends(b)
			var in Inbox
			b.ReportAllocs()
			for b.Loop() {
				b.StopTimer()
				var datagrams [][]byte
				for i := range parts.Len() {
					d, err := key.Seal(nil, peer.Next(start, TypeState), parts.At(i))
					must(b, err)
					datagrams = append(datagrams, d)
				}
				b.StartTimer()
				for _, d := range datagrams {
					h, payload, err := key.Open(d)
					must(b, err)
					if r := me.Receive(start, h, one); r.Cause != "" {
						b.Fatal(r.Cause)
					}
					p, err := ParsePart(payload)
					must(b, err)
					in.Add(h.Boot, p)
				}
			}
		})
	}
}
