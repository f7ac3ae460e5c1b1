package pair

import (
	"fmt"
	"log/slog"
	"testing"

	"golang.org/x/sys/unix"
)

// cpu is the processor time of the whole process in nanoseconds.
func cpu(b *testing.B) int64 {
	b.Helper()
	var ts unix.Timespec
	must(b, unix.ClockGettime(unix.CLOCK_PROCESS_CPUTIME_ID, &ts))
	return ts.Nano()
}

// channels opens both ends, of which nobody runs either.
func channels(b *testing.B) (one, two *Channel) {
	b.Helper()
	l := newLab(b, 2)
	for n, c := range []**Channel{&one, &two} {
		must(b, l.hosts[n].NS.Do(func() (err error) {
			*c, err = Open(l.config(n+1, front, back), slog.New(slog.DiscardHandler))
			return err
		}))
		b.Cleanup(func() { must(b, (*c).Close()) })
	}
	return one, two
}

// BenchmarkTell tells a State over two paths, and reads it on the other side:
// the work of both kernels, done by the same processor, is part of it.
func BenchmarkTell(b *testing.B) {
	for _, vips := range []int{1, 255} {
		b.Run(fmt.Sprint(vips), func(b *testing.B) {
			one, two := channels(b)
			s := state(1, vips)
			b.ReportAllocs()
			var sent int64
			before := cpu(b)
			heard := 0
			for b.Loop() {
				s.Seq++
				began := cpu(b)
				one.Send(s)
				sent += cpu(b) - began
				must(b, two.Poll(func(h Heard) { heard += len(h.State.VIPs) }))
				if heard == 0 { // not proved yet
					two.Send(s)
					must(b, one.Poll(func(Heard) {}))
				}
			}
			b.ReportMetric(float64(sent)/float64(b.N), "cpu-ns/send")
			b.ReportMetric(float64(cpu(b)-before)/float64(b.N), "cpu-ns/both")
			b.ReportMetric(float64(heard)/float64(b.N), "vips/state")
		})
	}
}
