package labs

import (
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestReloadUnconfirmed: a reload that nobody confirms is taken back by the
// daemon itself, and meanwhile no other one gets in.
func TestReloadUnconfirmed(t *testing.T) {
	const interval = 100 * time.Millisecond
	p, lb1, lb2, probes := started(t, interval, "")
	before := lb1.configured().Hash
	lb1.write(web(50, interval, ""))
	lb1.expect(1, "vip.web: priority 150 -> 50", "diff")

	mark := time.Now()
	lb1.expect(0, "taken back in 5s", "reload", "--confirm-within", "5s")
	p.answeredBy(probes, "lb2")
	lb1.expect(0, "unless you type: vipd reload --confirm", "status")
	lb1.expect(0, "", "diff")
	lb1.expect(6, "waits for its confirmation", "reload")
	lb1.signal(syscall.SIGHUP)
	lb1.eventually(5*time.Second, "the refusal of SIGHUP", func() bool { return strings.Contains(lb1.proc.Output(), "reload refused") })

	p.answeredBy(probes, "lb1")
	if took := time.Since(mark); took < 5*time.Second {
		t.Errorf("taken back after %v", took)
	}
	lb2.waitState("web", "BACKUP")
	if c := lb1.configured(); c.Hash != before || c.LastReloadOK || !strings.Contains(c.LastReloadError, "not confirmed within 5s") {
		t.Errorf("%+v, want config %s and the failed reload", c, before)
	}
	lb1.expect(1, "vip.web: priority 150 -> 50", "diff")
	lb1.expect(0, "was not confirmed within 5s", "events", "--type", "reload")
	lb1.expect(6, "no reload waits", "reload", "--confirm")
	probes.Stop()
}

// TestReloadConfirmed: a confirmed reload stays, and the way back is closed.
func TestReloadConfirmed(t *testing.T) {
	const interval = 100 * time.Millisecond
	p, lb1, _, probes := started(t, interval, "")
	lb1.write(web(50, interval, ""))
	lb1.expect(0, "taken back in 3s", "reload", "--confirm-within", "3s")
	lb1.expect(0, "confirmed: config ", "reload", "--confirm")
	mark := time.Now()
	lb1.expect(0, "configuration confirmed by root", "events", "--type", "reload")
	p.answeredBy(probes, "lb2")
	lb1.eventually(15*time.Second, "the time of the way back", func() bool { return time.Since(mark) > 3500*time.Millisecond })
	p.answeredBy(probes, "lb2")
	lb1.expect(0, "", "diff")
	if c := lb1.configured(); !c.LastReloadOK {
		t.Errorf("%+v", c)
	}

	// Nothing changes, so nothing waits.
	lb1.expect(0, "nothing changed", "reload", "--confirm-within", "1s")
	lb1.expect(0, "nothing changed", "reload")
	probes.Stop()
}
