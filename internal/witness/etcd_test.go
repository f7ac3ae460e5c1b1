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
