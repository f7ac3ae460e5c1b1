package vrrpnet

import (
	"context"
	"fmt"
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/vipd/vipd/pkg/vrrp"
)

// cpu is the processor time of the whole process in nanoseconds.
func cpu(b *testing.B) int64 {
	b.Helper()
	var ts unix.Timespec
	must(b, unix.ClockGettime(unix.CLOCK_PROCESS_CPUTIME_ID, &ts))
	return ts.Nano()
}

// adverts is one advert of each VRID of a host.
func adverts(src netip.Addr, family4 bool) []Outgoing {
	var batch []Outgoing
	for v := 1; v <= 255; v++ {
		batch = append(batch, Outgoing{Source: src, Advert: advert(uint8(v), family4)})
	}
	return batch
}

// BenchmarkSend sends batches of 255 adverts across a veth pair to a host that
// does not listen. The work of the receiving kernel, done by the same processor,
// is part of it.
func BenchmarkSend(b *testing.B) {
	for _, family4 := range []bool{true, false} {
		for _, auth := range []*vrrp.Auth{nil, signing(1, 1)} {
			b.Run(fmt.Sprintf("%s signed=%t", family(family4), auth != nil), func(b *testing.B) {
				one, _ := pair(b)
				var list []vrrp.Membership
				for v := 1; v <= 255; v++ {
					list = append(list, signingMember(uint8(v), auth))
				}
				c := one.listen(b, ifname, family4, list...)
				batch := adverts(one.addr[family4], family4)
				b.ReportAllocs()
				before := cpu(b)
				for b.Loop() {
					must(b, c.Send(batch))
				}
				b.ReportMetric(float64(cpu(b)-before)/float64(b.N*len(batch)), "cpu-ns/advert")
			})
		}
	}
}

// BenchmarkReceive reads batches of 255 adverts of members that wait in the
// socket already. Only the reading is timed.
func BenchmarkReceive(b *testing.B) {
	for _, family4 := range []bool{true, false} {
		b.Run(family(family4), func(b *testing.B) {
			one, two := pair(b)
			c := one.listen(b, ifname, family4)
			batch := adverts(one.addr[family4], family4)
			var vrids []uint8
			for _, o := range batch {
				vrids = append(vrids, o.Advert.VRID)
			}
			list := members(vrids...)
			for i := range list {
				list[i].Addresses = batch[i].Advert.Addresses
			}
			r := two.listen(b, ifname, family4, list...)
			b.ReportAllocs()
			b.ResetTimer()
			var spent int64
			for range b.N {
				b.StopTimer()
				must(b, c.Send(batch))
				before := cpu(b)
				b.StartTimer()
				ctx, cancel := context.WithCancel(b.Context())
				seen := 0
				must(b, r.Run(ctx, func(got []Received) {
					if seen += len(got); seen == len(batch) {
						cancel()
					}
				}))
				spent += cpu(b) - before
			}
			b.ReportMetric(float64(spent)/float64(b.N*len(batch)), "cpu-ns/advert")
		})
	}
}
