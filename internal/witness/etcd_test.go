package witness

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"log/slog"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"github.com/vipd/vipd/pkg/vote"
	"github.com/vipd/vipd/testenv"
)

// cluster is some etcd servers on 127.0.0.1.
type cluster struct {
	scheme  string
	clients []string // their URLs
	servers []*exec.Cmd
	conf    EtcdConfig
}

// ports returns some that nobody listens on.
func ports(t *testing.T, n int) []int {
	t.Helper()
	var list []int
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		must(t, err)
		defer func() { must(t, l.Close()) }()
		list = append(list, l.Addr().(*net.TCPAddr).Port)
	}
	return list
}

// etcd starts servers, and ends them with the test.
func etcd(t *testing.T, members int, secure bool) *cluster {
	t.Helper()
	testenv.Require(t, "etcd")
	c := &cluster{scheme: "http"}
	dir := t.TempDir()
	var flags []string
	if secure {
		c.scheme = "https"
		c.conf = certificates(t, dir)
		flags = []string{
			"--cert-file", filepath.Join(dir, "server.pem"), "--key-file", filepath.Join(dir, "server.key"),
			"--trusted-ca-file", filepath.Join(dir, "ca.pem"), "--client-cert-auth",
		}
	}
	free := ports(t, 2*members)
	var initial []string
	for i := range members {
		c.clients = append(c.clients, fmt.Sprintf("%s://127.0.0.1:%d", c.scheme, free[i]))
		initial = append(initial, fmt.Sprintf("m%d=http://127.0.0.1:%d", i, free[members+i]))
	}
	c.conf.Witness, c.conf.Cluster, c.conf.Endpoints = "etcd", "blue", c.clients
	for i := range members {
		name, peer := fmt.Sprintf("m%d", i), strings.SplitN(initial[i], "=", 2)[1]
		cmd := exec.Command("etcd", append([]string{
			"--name", name, "--data-dir", filepath.Join(dir, name), "--unsafe-no-fsync",
			"--listen-client-urls", c.clients[i], "--advertise-client-urls", c.clients[i],
			"--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer,
			"--initial-cluster", strings.Join(initial, ","), "--heartbeat-interval", "50", "--election-timeout", "500", "--log-level", "error",
		}, flags...)...)
		if !strings.Contains(help(), "--unsafe-no-fsync") {
			cmd.Args = append(cmd.Args[:5], cmd.Args[6:]...)
		}
		cmd.Env = append(os.Environ(), "ETCD_UNSUPPORTED_ARCH=")
		cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
		out, err := os.Create(filepath.Join(dir, name+".log"))
		must(t, err)
		cmd.Stdout, cmd.Stderr = out, out
		must(t, cmd.Start())
		c.servers = append(c.servers, cmd)
		t.Cleanup(func() {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
			if text, _ := os.ReadFile(out.Name()); t.Failed() {
				t.Logf("%s: %s", name, text)
			}
			_ = out.Close()
		})
	}
	api := c.api(t)
	testenv.Eventually(t, 30*time.Second, "etcd answers", func() bool {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_, err := api.Get(ctx, "x")
		return err == nil
	})
	return c
}

var help = sync.OnceValue(func() string {
	out, _ := exec.Command("etcd", "--help").CombinedOutput()
	return string(out)
})

// api is a plain client of the etcd.
func (c *cluster) api(t *testing.T) *clientv3.Client {
	t.Helper()
	conf := clientv3.Config{Endpoints: c.clients, DialTimeout: time.Second, Logger: zap.NewNop()}
	var err error
	conf.TLS, err = c.conf.tls()
	must(t, err)
	client, err := clientv3.New(conf)
	must(t, err)
	t.Cleanup(func() { _ = client.Close() })
	return client
}

// leader is the index of the member that leads.
func (c *cluster) leader(t *testing.T) int {
	t.Helper()
	api := c.api(t)
	found := -1
	testenv.Eventually(t, within, "there is a leader", func() bool {
		for i, url := range c.clients {
			ctx, cancel := context.WithTimeout(context.Background(), time.Second)
			s, err := api.Status(ctx, url)
			cancel()
			if err == nil && s.Leader == s.Header.MemberId {
				found = i
			}
		}
		return found >= 0
	})
	return found
}

// certificates writes those of a server and of a client, and the one that both are
// checked by.
func certificates(t *testing.T, dir string) EtcdConfig {
	t.Helper()
	key := func() *ecdsa.PrivateKey {
		k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		must(t, err)
		return k
	}
	write := func(name, kind string, b []byte) string {
		path := filepath.Join(dir, name)
		must(t, os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: b}), 0o600))
		return path
	}
	ca := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "ca"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	caKey := key()
	der, err := x509.CreateCertificate(rand.Reader, ca, ca, caKey.Public(), caKey)
	must(t, err)
	caFile := write("ca.pem", "CERTIFICATE", der)
	var secret []byte
	for _, name := range []string{"server", "client"} {
		k := key()
		leaf := &x509.Certificate{
			SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: name}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
			NotBefore: ca.NotBefore, NotAfter: ca.NotAfter, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		}
		der, err := x509.CreateCertificate(rand.Reader, leaf, ca, k.Public(), caKey)
		must(t, err)
		write(name+".pem", "CERTIFICATE", der)
		b, err := x509.MarshalECPrivateKey(k)
		must(t, err)
		secret, err = os.ReadFile(write(name+".key", "EC PRIVATE KEY", b))
		must(t, err)
	}
	return EtcdConfig{CAFile: caFile, CertFile: filepath.Join(dir, "client.pem"), Key: secret}
}

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
	if took := time.Since(died); took > etcdTTL+time.Second {
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
	if third == second || time.Since(released) > etcdPoll+time.Second {
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

// TestEtcdRevoked: whose lease is revoked by somebody else learns it with its next
// renewal.
func TestEtcdRevoked(t *testing.T) {
	testenv.Require(t, "etcd")
	t.Parallel()
	c := etcd(t, 1, false)
	one := c.host(t, "lb1", true)
	holder(t, within, one)
	epoch := one.epoch()
	api := c.api(t)
	got, err := api.Get(context.Background(), "/vipd/blue/web")
	must(t, err)
	_, err = api.Revoke(context.Background(), clientv3.LeaseID(got.Kvs[0].Lease))
	must(t, err)
	testenv.Eventually(t, within, "it holds by another lease", func() bool { return one.holds() && one.epoch() > epoch })

	epoch = one.epoch()
	_, err = api.Delete(context.Background(), "/vipd/blue/web")
	must(t, err)
	testenv.Eventually(t, within, "it holds by another key", func() bool { return one.holds() && one.epoch() > epoch })
}

// TestEtcdLeader: a leader that dies, or is stopped and goes on, takes nothing from
// the holder.
func TestEtcdLeader(t *testing.T) {
	testenv.Require(t, "etcd")
	t.Parallel()
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
