package lease

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"
)

// guardMany has n VIPs with one address each.
func guardMany(n int) (list []Guarded, names []string) {
	for i := range n {
		name := fmt.Sprintf("vip%d", i)
		names = append(names, name)
		list = append(list, Guarded{Name: name, Interface: "eth0", Timeout: time.Minute,
			Addresses: []netip.Addr{netip.AddrFrom4([4]byte{10, 8, byte(i >> 8), byte(i)})}})
	}
	return list, names
}

func BenchmarkRenew(b *testing.B) {
	for _, n := range []int{1, 50, 255, 1000} {
		b.Run(fmt.Sprintf("vips=%d", n), func(b *testing.B) {
			w := newWorld(b)
			table := w.open(b)
			list, names := guardMany(n)
			check(b, table.Set(list))
			for _, name := range names {
				check(b, table.Arm(name)[0])
			}
			for b.Loop() {
				if err := table.Renew(names); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/vip")
		})
	}
}

// BenchmarkRenewApart renews one lease every 100 ms, as a host with one VIP does: caches
// are cold by then.
func BenchmarkRenewApart(b *testing.B) {
	w := newWorld(b)
	table := w.open(b)
	list, names := guardMany(1)
	check(b, table.Set(list))
	check(b, table.Arm(names[0])[0])
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	var took []time.Duration
	for b.Loop() {
		<-tick.C
		start := time.Now()
		err := table.Renew(names)
		took = append(took, time.Since(start))
		check(b, err)
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Nanoseconds()), "ns/renewal-median")
	b.ReportMetric(float64(took[len(took)*95/100].Nanoseconds()), "ns/renewal-p95")
}

func BenchmarkArm(b *testing.B) {
	w := newWorld(b)
	table := w.open(b)
	list, names := guardMany(1000)
	for i := 0; b.Loop(); i++ {
		if i%(2*len(names)) == 0 { // the kernel has no place for many dead elements of one key
			b.StopTimer()
			check(b, table.Set(nil))
			check(b, table.Set(list)) // with other ids
			b.StartTimer()
		}
		check(b, table.Arm(names[i%len(names)])[0])
	}
}

func BenchmarkSet(b *testing.B) {
	for _, n := range []int{1, 1000} {
		b.Run(fmt.Sprintf("addresses=%d", n), func(b *testing.B) {
			w := newWorld(b)
			table := w.open(b)
			g := Guarded{Name: "vip", Interface: "eth0", Timeout: time.Minute}
			for i := range n {
				g.Addresses = append(g.Addresses, netip.AddrFrom4([4]byte{10, 8, byte(i >> 8), byte(i)}),
					netip.AddrFrom16([16]byte{0xfd, 8, 14: byte(i >> 8), 15: byte(i)}))
			}
			for b.Loop() {
				check(b, table.Set([]Guarded{g}))
				check(b, table.Set(nil))
			}
		})
	}
}

// A Set with many virtual MACs: each has a device of its own.
func BenchmarkSetVMAC(b *testing.B) {
	w := newWorld(b)
	table := w.open(b)
	list, _ := guardMany(255)
	for i := range list {
		list[i].VMAC, list[i].Family4, list[i].VRID = true, true, uint8(i+1)
	}
	for b.Loop() {
		check(b, table.Set(list))
		check(b, table.Set(nil))
	}
}

// A Set that changes one address of many.
func BenchmarkSetOne(b *testing.B) {
	w := newWorld(b)
	table := w.open(b)
	list, _ := guardMany(255)
	for i := range list {
		list[i].VMAC, list[i].Family4, list[i].VRID = true, true, uint8(i+1)
	}
	for i := 0; b.Loop(); i++ {
		list[7].Addresses = []netip.Addr{netip.AddrFrom4([4]byte{10, 7, byte(i >> 8), byte(i)})}
		check(b, table.Set(list))
	}
}
