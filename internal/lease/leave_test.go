package lease

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/vipd/vipd/testenv"
)

// leave opens a table, arms web, and leaves it to the next process by way of a
// file. What else that guarded has a lease that does not go on.
func (w *world) leave(t testing.TB, g Guarded) (former *Table, left Left) {
	t.Helper()
	check(t, w.host.NS.Do(func() (err error) {
		former, err = Open(discard, vmacName, nil)
		return err
	}))
	other := Guarded{Name: "other", Interface: "eth0", Addresses: addrs("10.9.0.11"), Timeout: time.Minute}
	check(t, former.Set([]Guarded{g, other}))
	for _, err := range former.Arm("web", "other") {
		check(t, err)
	}
	left, err := former.Leave([]string{"web"})
	check(t, err)
	text, err := json.Marshal(left)
	check(t, err)
	left = Left{}
	check(t, json.Unmarshal(text, &left))
	return former, left
}

// next opens the table as the process after.
func (w *world) next(t testing.TB, left Left) (table *Table) {
	t.Helper()
	check(t, w.host.NS.Do(func() (err error) {
		table, err = Open(discard, vmacName, &left)
		return err
	}))
	t.Cleanup(func() { check(t, table.Close(false)) })
	return table
}

// TestLeave: a lease that is left goes on in the hands of the next process, which
// is the only one that can renew it; others end.
func TestLeave(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.address(t, "eth0", append(addrs("10.9.0.11"), webAddrs...)...)
	former, left := w.leave(t, web)
	w.answering(t, addrs("10.9.0.11")...)
	former.nft.close() // its frames still leave, as those of one that hangs
	table := w.next(t, left)
	w.answering(t, webAddrs...)
	w.silent(t, addrs("10.9.0.11")...)
	if done, err := former.frames.say(renew, former.vips["web"].id, web.Timeout); done || err != nil {
		t.Errorf("the former process renews: %t, %v", done, err)
	}
	check(t, table.Set([]Guarded{web})) // without the other
	check(t, table.Renew([]string{"web"}))
	w.answering(t, webAddrs...)
	refused(t, table, "other")
	check(t, table.Disarm("web"))
	w.silent(t, webAddrs...)
	check(t, table.Arm("web")[0])
	w.answering(t, webAddrs...)
}

// TestLeaveTooLate: a lease that is over stays so, and to adopt one adds nothing to
// its time.
func TestLeaveTooLate(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.address(t, "eth0", webAddrs...)
	former, left := w.leave(t, brief())
	armed := former.vips["web"].renewed
	check(t, former.Close(false))
	testenv.Eventually(t, patience, "half of it to pass", func() bool { return time.Since(armed) > timeout/2 })
	table := w.next(t, left)
	testenv.Eventually(t, patience, "the lease to expire", func() bool { return !alive(t, table)["web"] })
	if lasted := time.Since(armed); lasted > timeout*3/2 { // as it would, had it begun again when it was adopted
		t.Errorf("it lasted %v, %v is the timeout", lasted, timeout)
	}
	refused(t, table, "web")
	w.silent(t, webAddrs...)
}

// TestLeftIsChecked: a table that is not as it was left is taken over closed.
func TestLeftIsChecked(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(*Left){
		"version":  func(l *Left) { l.Rules++ },
		"rules":    func(l *Left) { l.Timeouts = append(l.Timeouts, time.Hour) },
		"address":  func(l *Left) { l.VIPs[0].Addresses = addrs("10.9.0.12") },
		"number":   func(l *Left) { l.VIPs[0].ID = l.VIPs[1].ID },
		"timeout":  func(l *Left) { l.VIPs[0].Timeout = 0 },
		"vip gone": func(l *Left) { l.VIPs = l.VIPs[:1] },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.address(t, "eth0", webAddrs...)
			former, left := w.leave(t, web)
			check(t, former.Close(false))
			w.answering(t, webAddrs...)
			spoil(&left)
			table := w.next(t, left)
			if table.Refused() == nil {
				t.Error("it does not say why the leases do not go on")
			}
			check(t, table.Set([]Guarded{web}))
			w.silent(t, webAddrs...)
			refused(t, table, "web")
			check(t, table.Arm("web")[0])
			w.answering(t, webAddrs...)
		})
	}
}
