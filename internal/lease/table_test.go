package lease

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/vipd/vipd/testenv"
)

var (
	webAddrs = addrs("10.9.0.10", "fd09::10")
	web      = Guarded{Name: "web", Interface: "eth0", Addresses: webAddrs, Timeout: timeout}
)

// An address that is there answers nothing until its lease is armed, and nothing
// again when it has expired; a renewal that comes too late brings nothing back.
func TestLifeOfALease(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	table := w.open(t)
	w.address(t, "eth0", webAddrs...)
	check(t, table.Set([]Guarded{web}))
	w.silent(t, webAddrs...)
	w.answering(t, addrs("10.9.0.1", "fd09::1")...) // the host itself

	var expired Expired
	if err := table.Renew([]string{"web"}); !errors.As(err, &expired) {
		t.Fatalf("renewed what was never armed: %v", err)
	}
	w.silent(t, webAddrs...)

	check(t, table.Arm("web"))
	stop := renewing(t, table, 100*time.Millisecond, "web")
	w.answering(t, webAddrs...)
	stop()
	testenv.Eventually(t, patience, "the lease expires", func() bool { return !alive(t, table)["web"] })
	if err := table.Renew([]string{"web"}); !errors.As(err, &expired) || !cmp.Equal(expired, Expired{"web"}) {
		t.Fatalf("renewed what has expired: %v", err)
	}
	w.silent(t, webAddrs...)

	check(t, table.Arm("web"))
	renewing(t, table, 100*time.Millisecond, "web")
	w.answering(t, webAddrs...)
	check(t, table.Disarm("web"))
	w.silent(t, webAddrs...)
}

func alive(t testing.TB, table *Table) map[string]bool {
	t.Helper()
	m, err := table.Alive()
	check(t, err)
	return m
}
