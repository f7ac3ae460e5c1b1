package hook

import (
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"
)

// TestBefore: a before_hold gets its own arguments only, is answered, can be
// stopped, and is replaced by the next one.
func TestBefore(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "out")
	h := run(t, NewRunner(quiet))
	h.Configure(Settings{}, map[Subject]Hooks{web: {BeforeHold: append(sh(`echo "$@" $VIPD_STATE > `+file), "primary")}})
	h.Before(active, 7, time.Minute)
	if d := h.next(); d.Kind != BeforeHold || d.Seq != 7 || d.Result != OK {
		t.Errorf("done %+v", d)
	}
	if got, _ := os.ReadFile(file); string(got) != "primary ACTIVE\n" {
		t.Errorf("arguments %q", got)
	}
	h.Configure(Settings{}, map[Subject]Hooks{web: {BeforeHold: sh("echo commit failed; exit 1")}})
	h.Before(active, 8, time.Minute)
	if d := h.next(); d.Seq != 8 || d.Result != Failed || d.Detail != "exit 1: commit failed" {
		t.Errorf("done %+v", d)
	}
	h.Configure(Settings{}, map[Subject]Hooks{web: {BeforeHold: sh("exec sleep 60")}})
	h.Before(active, 9, 100*time.Millisecond)
	if d := h.next(); d.Seq != 9 || d.Result != Timeout {
		t.Errorf("done %+v", d)
	}
	h.Before(active, 10, time.Minute)
	h.Before(active, 11, time.Minute)
	h.Stop("web", 10) // it is not the newest any more
	h.Stop("web", 11)
	h.Configure(Settings{}, map[Subject]Hooks{web: {}})
	h.Before(active, 12, time.Minute)
	for d := h.next(); d.Seq != 12; d = h.next() {
		if d.Result != Stopped {
			t.Errorf("done %+v", d)
		}
	}
}

// TestBeforeReplaced: never two at once of one VIP.
func TestBeforeReplaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, f := faked(Hooks{BeforeHold: sh(""), Timeout: time.Hour})
		h := run(t, r)
		for i := range 100 {
			h.Before(change(i), uint64(i), time.Hour)
			if i%3 == 0 {
				synctest.Wait()
			}
		}
		synctest.Wait()
		if f.most != 1 || f.running["web"] != 1 || f.ran[len(f.ran)-1] != "99" {
			t.Errorf("%d at once, %d run now, the last is %s", f.most, f.running["web"], f.ran[len(f.ran)-1])
		}
		close(f.release)
		synctest.Wait()
		if len(r.before) != 0 {
			t.Errorf("left: %v", r.before)
		}
	})
}
