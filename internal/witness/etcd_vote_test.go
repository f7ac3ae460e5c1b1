package witness

import (
	"context"
	"log/slog"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/vipd/vipd/pkg/vote"
	"github.com/vipd/vipd/testenv"
)

// voter is a host that votes by etcd alone, as an engine drives it.
type voter struct {
	name   string
	client *Etcd
	stop   func()

	mu     sync.Mutex
	holder *vote.Holder
	wake   *time.Timer
	ended  bool
}

// host runs a host until the test ends or stop is called. A host that is stopped
// says nothing any more.
func (c *cluster) host(t *testing.T, name string, want bool) *voter {
	t.Helper()
	conf := c.conf
	conf.Node = name
	client, err := OpenEtcd(conf, slog.New(slog.DiscardHandler))
	must(t, err)
	v := &voter{name: name, client: client}
	v.holder = vote.NewHolder(vote.Electorate(name, nil, []vote.Witness{{Name: "etcd", Etcd: true}}, 250*time.Millisecond, 100*time.Millisecond), 0)
	ctx, cancel := context.WithCancel(context.Background())
	v.wake = time.AfterFunc(time.Hour, func() { v.step(vote.Wake{}) })
	done := make(chan error, 1)
	go func() {
		done <- client.Run(ctx, func(a vote.Answer) { v.step(vote.Answered{Voter: "etcd", Answer: a}) })
	}()
	v.stop = sync.OnceFunc(func() {
		v.mu.Lock()
		v.ended = true
		v.wake.Stop()
		v.mu.Unlock()
		cancel()
		must(t, <-done)
		must(t, client.Close())
	})
	t.Cleanup(v.stop)
	if want {
		v.step(vote.Want{})
	}
	return v
}

func (v *voter) step(ev vote.Event) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.ended {
		return
	}
	now := time.Now()
	for _, s := range v.holder.Step(now, ev) {
		s.Ask.VIP = "web"
		v.client.Send([]vote.Ask{s.Ask})
	}
	if next := v.holder.Next(); !next.IsZero() {
		v.wake.Reset(max(0, time.Until(next)))
	}
}

func (v *voter) holds() bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return !v.ended && v.holder.MayTake(time.Now())
}

// until is until when it may hold, also when it has been stopped.
func (v *voter) until() time.Time {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.holder.Until()
}

func (v *voter) epoch() uint64 {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.holder.Epoch()
}

// watch fails the test when two hosts hold at one instant.
func watch(t *testing.T, hosts ...*voter) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for ctx.Err() == nil {
			var list []string
			for _, v := range hosts {
				if time.Now().Before(v.until()) {
					list = append(list, v.name)
				}
			}
			if len(list) > 1 {
				t.Errorf("%v hold", list)
				return
			}
			<-tick.C
		}
	}()
	t.Cleanup(func() { cancel(); <-done })
}

// holder waits until one of the hosts holds.
func holder(t *testing.T, within time.Duration, hosts ...*voter) (one *voter) {
	t.Helper()
	testenv.Eventually(t, within, "one holds", func() bool {
		for _, v := range hosts {
			if v.holds() {
				one = v
			}
		}
		return one != nil
	})
	return one
}

const etcdTTL = 5 * time.Second // as Electorate has it

// TestEtcd: one of three hosts holds, by a cluster of three; another one takes over
// when it dies, when it lets go, and when somebody takes its lease away.
func TestEtcd(t *testing.T) {
	testenv.Require(t, "etcd")
	t.Parallel()
	c := etcd(t, 3, false)
	hosts := []*voter{c.host(t, "lb1", true), c.host(t, "lb2", true), c.host(t, "lb3", true)}
	watch(t, hosts...)
	first := holder(t, within, hosts...)
	epoch := first.epoch()

	died := time.Now()
	first.stop()
	second := holder(t, 3*etcdTTL, hosts...)
	if took := time.Since(died); took > 2*etcdTTL { // as long as if the lease proved nothing
		t.Errorf("%s takes over after %s", second.name, took)
	} else {
		t.Logf("a dead host was replaced after %s", took)
	}
	if second.epoch() <= epoch {
		t.Errorf("epoch %d after %d", second.epoch(), epoch)
	}

	released := time.Now()
	second.step(vote.Drop{})
	third := holder(t, within, hosts...)
	t.Logf("a host that let go was replaced after %s", time.Since(released))
	if third == second || time.Since(released) > etcdTTL {
		t.Errorf("%s holds after %s", third.name, time.Since(released))
	}

	second.step(vote.Want{})
	api := c.api(t)
	got, err := api.Get(context.Background(), "/vipd/blue/web")
	must(t, err)
	if len(got.Kvs) != 1 || string(got.Kvs[0].Value) != third.name || uint64(got.Kvs[0].CreateRevision) != third.epoch() {
		t.Fatalf("the key is %v", got.Kvs)
	}
}

// renewal asks for a vote, with an epoch that no key has reached.
var renewal = vote.Ask{Kind: vote.Renew, VIP: "web", Number: 1, Epoch: 1 << 40, TTL: etcdTTL}

// asker runs a client by itself: what it is answered, how to end it, and that it has.
func (c *cluster) asker(t *testing.T, name string) (*Etcd, <-chan vote.Answer, context.CancelFunc, <-chan error) {
	t.Helper()
	conf := c.conf
	conf.Node = name
	client, err := OpenEtcd(conf, slog.New(slog.DiscardHandler))
	must(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	answers, done := make(chan vote.Answer, 9), make(chan error, 1)
	go func() { done <- client.Run(ctx, func(a vote.Answer) { answers <- a }) }()
	return client, answers, cancel, done
}

// TestEtcdHandBack: a vote that is handed back at the very end gets there, also when
// a renewal of it is still on its way.
func TestEtcdHandBack(t *testing.T) {
	testenv.Require(t, "etcd")
	t.Parallel()
	c := etcd(t, 1, false)
	client, answers, cancel, done := c.asker(t, "lb1")
	ask := renewal
	client.Send([]vote.Ask{ask})
	if a := <-answers; a.Kind != vote.Granted {
		t.Fatalf("asked for the first time: %+v", a)
	}
	server := c.servers[0].Process
	must(t, server.Signal(syscall.SIGSTOP))
	client.Send([]vote.Ask{ask})
	testenv.Eventually(t, within, "the renewal is on its way", func() bool { return client.Status().Sent == 2 })
	ask.Kind = vote.Release
	client.Send([]vote.Ask{ask})
	cancel()
	must(t, server.Signal(syscall.SIGCONT))
	must(t, <-done)
	must(t, client.Close())
	got, err := c.api(t).Get(context.Background(), "/vipd/blue/web")
	must(t, err)
	if len(got.Kvs) != 0 {
		t.Errorf("the vote was not handed back: %v", got.Kvs)
	}
}

// TestEtcdFreed: who was refused hears when the key goes, and does not have to look.
func TestEtcdFreed(t *testing.T) {
	testenv.Require(t, "etcd")
	t.Parallel()
	c := etcd(t, 3, false)
	first := c.host(t, "lb1", true)
	holder(t, within, first)
	client, answers, cancel, done := c.asker(t, "lb2")
	ask := renewal
	client.Send([]vote.Ask{ask})
	if a := <-answers; a.Why != vote.Promised || a.Owner != "lb1" || a.Remaining == 0 {
		t.Errorf("asked for what lb1 has: %+v", a)
	}
	first.step(vote.Drop{})
	if a := <-answers; a.Kind != vote.Freed || a.VIP != "web" {
		t.Errorf("lb1 has let go: %+v", a)
	}
	ask.Number++
	client.Send([]vote.Ask{ask})
	if a := <-answers; a.Kind != vote.Granted {
		t.Errorf("asked for what is free: %+v", a)
	}
	cancel()
	must(t, <-done)
	must(t, client.Close())
}

// TestEtcdRevoked: whose lease is revoked, or whose key is deleted, by somebody else
// puts it back and goes on; without its claim it starts again.
func TestEtcdRevoked(t *testing.T) {
	testenv.Require(t, "etcd")
	t.Parallel()
	c := etcd(t, 1, false)
	hosts := []*voter{c.host(t, "lb1", true), c.host(t, "lb2", true)}
	watch(t, hosts...)
	one := holder(t, within, hosts...)
	epoch := one.epoch()
	api := c.api(t)
	key := func() *mvccpb.KeyValue {
		got, err := api.Get(context.Background(), "/vipd/blue/web")
		must(t, err)
		if len(got.Kvs) == 0 {
			return nil
		}
		return got.Kvs[0]
	}
	for _, spoil := range []func(was *mvccpb.KeyValue) error{
		func(was *mvccpb.KeyValue) error {
			_, err := api.Revoke(context.Background(), clientv3.LeaseID(was.Lease))
			return err
		},
		func(*mvccpb.KeyValue) error {
			_, err := api.Delete(context.Background(), "/vipd/blue/web")
			return err
		},
	} {
		was := key()
		must(t, spoil(was))
		testenv.Eventually(t, within, "the key is back", func() bool {
			is := key()
			return is != nil && is.CreateRevision > was.CreateRevision
		})
		if !one.holds() || one.epoch() != epoch || string(key().Value) != one.name {
			t.Errorf("%s has lost it: %+v", one.name, one.client.Status())
		}
	}
	_, err := api.Delete(context.Background(), "/vipd/blue/web/claim")
	must(t, err)
	testenv.Eventually(t, within, "it does not hold by the old claim", func() bool { return !one.holds() || one.epoch() > epoch })
}

// TestEtcdRevokedDead: a lease that is revoked early proves nothing: nobody takes the
// vote while the host that is dead by now may have held.
func TestEtcdRevokedDead(t *testing.T) {
	testenv.Require(t, "etcd")
	t.Parallel()
	c := etcd(t, 1, false)
	first := c.host(t, "lb1", true)
	holder(t, within, first)
	second := c.host(t, "lb2", true)
	watch(t, first, second)
	api := c.api(t)
	first.stop()
	got, err := api.Get(context.Background(), "/vipd/blue/web")
	must(t, err)
	_, err = api.Revoke(context.Background(), clientv3.LeaseID(got.Kvs[0].Lease))
	must(t, err)
	holder(t, 3*etcdTTL, second)
	if time.Now().Before(first.until()) {
		t.Error("lb2 holds while lb1 may")
	}
}

// TestEtcdLeader: a leader that dies, or is stopped and goes on, takes nothing from
// the holder.
func TestEtcdLeader(t *testing.T) {
	testenv.Require(t, "etcd")
	c := etcd(t, 3, false)
	hosts := []*voter{c.host(t, "lb1", true), c.host(t, "lb2", true)}
	watch(t, hosts...)
	one := holder(t, within, hosts...)
	epoch := one.epoch()
	leader := c.servers[c.leader(t)].Process
	must(t, leader.Signal(syscall.SIGSTOP))
	begin := time.Now()
	held := func() bool {
		if !one.holds() || one.epoch() != epoch {
			t.Errorf("%s has lost it after %s: %+v", one.name, time.Since(begin), one.client.Status())
			return true
		}
		return time.Since(begin) > etcdTTL+time.Second
	}
	testenv.Eventually(t, 4*etcdTTL, "a promise is over", held)
	must(t, leader.Signal(syscall.SIGCONT))
	begin = time.Now()
	testenv.Eventually(t, 4*etcdTTL, "and one more", held)
}

// TestEtcdAway: without a majority of the members nobody holds, before the promise
// is over; and one does when they are back.
func TestEtcdAway(t *testing.T) {
	testenv.Require(t, "etcd")
	t.Parallel()
	c := etcd(t, 3, false)
	hosts := []*voter{c.host(t, "lb1", true), c.host(t, "lb2", true)}
	watch(t, hosts...)
	holder(t, within, hosts...)
	for _, s := range c.servers[:2] {
		must(t, s.Process.Signal(syscall.SIGSTOP))
	}
	testenv.Eventually(t, 2*etcdTTL, "nobody holds", func() bool { return !hosts[0].holds() && !hosts[1].holds() })
	testenv.Eventually(t, 2*etcdTTL, "it says why", func() bool { return hosts[0].client.Status().Err != "" })
	for _, s := range c.servers[:2] {
		must(t, s.Process.Signal(syscall.SIGCONT))
	}
	holder(t, 4*etcdTTL, hosts...)
}

// TestEtcdSecure: both sides show certificates, and who has none is not served.
func TestEtcdSecure(t *testing.T) {
	testenv.Require(t, "etcd")
	t.Parallel()
	c := etcd(t, 1, true)
	holder(t, within, c.host(t, "lb1", true))
	c.conf.CertFile, c.conf.Key = "", nil
	bare := c.host(t, "lb2", true)
	testenv.Eventually(t, within, "it is not served", func() bool { return bare.client.Status().Err != "" })
	if bare.holds() || !bare.client.Status().Heard.IsZero() {
		t.Error("it has been answered")
	}
	c.conf.CAFile = filepath.Join(t.TempDir(), "missing")
	if _, err := OpenEtcd(c.conf, slog.New(slog.DiscardHandler)); err == nil {
		t.Error("a missing file is taken")
	}
}
