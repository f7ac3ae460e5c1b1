package witness

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"github.com/vipd/vipd/pkg/pair"
	"github.com/vipd/vipd/pkg/vote"
)

// EtcdConfig is an etcd, as a host knows it.
type EtcdConfig struct {
	Witness   string // its name in the configuration
	Node      string // this host
	Cluster   string // hosts that vote together have the same
	Endpoints []string
	CAFile    string // "" = the certificates of the system
	CertFile  string // "" = no certificate
	Key       []byte // private key of the certificate, in PEM
}

// Etcd is the Client of an etcd. Its votes are those of [etcdKey].
type Etcd struct {
	cfg    EtcdConfig
	log    *slog.Logger
	client *clientv3.Client
	kick   chan struct{}

	mu     sync.Mutex // of all that follows
	keys   map[string]*etcdKey
	status Status
}

// etcdPoll is how long who waits for a key waits at most before it looks again,
// and etcdSoon the same when the key is about to go.
const (
	etcdPoll = time.Second
	etcdSoon = 100 * time.Millisecond
)

// etcdTries is how many times a promise can be asked for while it lasts: a member
// that hangs costs one of them, and the next call goes to another member.
const etcdTries = 5

// OpenEtcd makes a client. Nothing is dialled yet.
func OpenEtcd(cfg EtcdConfig, log *slog.Logger) (*Etcd, error) {
	conf := clientv3.Config{
		Endpoints: cfg.Endpoints, DialTimeout: time.Second, Logger: zap.NewNop(),
		DialKeepAliveTime: 10 * time.Second, DialKeepAliveTimeout: time.Second,
	}
	var err error
	if conf.TLS, err = cfg.tls(); err != nil {
		return nil, fmt.Errorf("open witness %s: %w", cfg.Witness, err)
	}
	client, err := clientv3.New(conf)
	if err != nil {
		return nil, fmt.Errorf("open witness %s: %w", cfg.Witness, err)
	}
	return &Etcd{
		cfg: cfg, log: log.With("witness", cfg.Witness), client: client, kick: make(chan struct{}, 1),
		keys: map[string]*etcdKey{}, status: Status{Refused: map[pair.Cause]uint64{}},
	}, nil
}

// tls reads the files. It is used for endpoints with https alone.
func (c EtcdConfig) tls() (*tls.Config, error) {
	conf := &tls.Config{MinVersion: tls.VersionTLS12}
	if c.CAFile != "" {
		text, err := os.ReadFile(c.CAFile)
		if err != nil {
			return nil, err
		}
		conf.RootCAs = x509.NewCertPool()
		if !conf.RootCAs.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("read %s: there is no certificate in it", c.CAFile)
		}
	}
	if c.CertFile != "" {
		text, err := os.ReadFile(c.CertFile)
		if err != nil {
			return nil, err
		}
		cert, err := tls.X509KeyPair(text, c.Key)
		if err != nil {
			return nil, fmt.Errorf("use %s and its key: %w", c.CertFile, err)
		}
		conf.Certificates = []tls.Certificate{cert}
	}
	return conf, nil
}

// Close ends the connections, after Run has returned. Leases end by themselves.
func (c *Etcd) Close() error { return c.client.Close() }

// prefix is what the keys of the cluster begin with.
func (c *Etcd) prefix() string { return "/vipd/" + c.cfg.Cluster + "/" }

// Status tells how the etcd is reached.
func (c *Etcd) Status() Status {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.status
	s.Refused = cloned(s.Refused)
	return s
}

// Send leaves the Asks to Run. A newer one on the same VIP replaces one that waits.
func (c *Etcd) Send(asks []vote.Ask) {
	c.mu.Lock()
	for _, a := range asks {
		k := c.keys[a.VIP]
		if k == nil {
			k = &etcdKey{path: c.prefix() + a.VIP, node: c.cfg.Node}
			c.keys[a.VIP] = k
		}
		if k.next != nil {
			c.status.Unsent++
		}
		k.next = &a
	}
	c.mu.Unlock()
	select {
	case c.kick <- struct{}{}:
	default: // it will look anyway
	}
}

// Run works until ctx ends. Each VIP has its own goroutine while there is something
// to do, so that a slow answer holds up no other.
func (c *Etcd) Run(ctx context.Context, answered func(vote.Answer)) error {
	var work sync.WaitGroup
	defer work.Wait()
	work.Go(func() { c.watch(ctx, answered) })
	for {
		select {
		case <-c.kick:
		case <-ctx.Done():
			work.Wait()
			c.handBack(answered)
			return nil
		}
		c.mu.Lock()
		for _, k := range c.keys {
			if k.next != nil && !k.busy {
				k.busy = true
				work.Go(func() { c.work(ctx, k, answered) })
			}
		}
		c.mu.Unlock()
	}
}

// handBack does what is left at the end: votes that are to be handed back.
func (c *Etcd) handBack(answered func(vote.Answer)) {
	ctx, cancel := context.WithTimeout(context.Background(), etcdPoll)
	defer cancel()
	var work sync.WaitGroup
	c.mu.Lock()
	for _, k := range c.keys {
		if k.next != nil && k.next.Kind == vote.Release {
			k.busy = true
			work.Go(func() { c.work(ctx, k, answered) })
		}
	}
	c.mu.Unlock()
	work.Wait()
}

// work does what waits for one VIP.
func (c *Etcd) work(ctx context.Context, k *etcdKey, answered func(vote.Answer)) {
	for {
		c.mu.Lock()
		ask := k.next
		if ask == nil || ctx.Err() != nil { // what waits then may be a vote to hand back
			k.busy = false
			c.mu.Unlock()
			return
		}
		k.next = nil
		c.status.Sent++
		c.mu.Unlock()
		limited, cancel := context.WithTimeout(ctx, ask.TTL/etcdTries)
		answer, err := c.do(limited, k, *ask)
		cancel()
		c.mu.Lock()
		if err != nil {
			c.status.Err = err.Error()
			answer = vote.Answer{Kind: vote.Refused, Why: vote.Trouble, Remaining: etcdPoll}
		} else {
			c.status.Heard, c.status.Err = time.Now(), ""
			c.status.Received++
			if answer.Why == vote.Promised && k.freed > k.looked { // gone since
				answer.Remaining = 0
			}
		}
		c.mu.Unlock()
		answer.VIP, answer.Number = ask.VIP, ask.Number
		if ctx.Err() == nil {
			answered(answer)
		}
	}
}
