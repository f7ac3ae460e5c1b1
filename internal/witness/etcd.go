package witness

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
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

// Etcd is the Client of an etcd. The vote on a VIP is the key /vipd/CLUSTER/VIP:
// whoever creates it has it, and it goes with the lease that it hangs on.
//
//	Renew    no key: lease, and create the key if nobody has   else: prolong the lease, look at the key
//	Release  revoke the lease
//
// etcd counts a lease from when it is asked for, and longer when it elects another
// leader; so a promise ends no earlier than the vote.Holder counts.
type Etcd struct {
	cfg    EtcdConfig
	log    *slog.Logger
	client *clientv3.Client
	kick   chan struct{}

	mu     sync.Mutex // of all that follows
	keys   map[string]*etcdKey
	status Status
}

// etcdKey is the vote on one VIP. Only one goroutine at a time works on it, which
// has busy set; the lease is its own.
type etcdKey struct {
	next *vote.Ask // newest that waits
	busy bool

	freed int64 // revision at which the key went last

	lease clientv3.LeaseID // 0 = none
	ttl   time.Duration    // of the lease
	rev   int64            // at which this host created the key, 0 = it has not
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
			k = &etcdKey{}
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
			if answer.Why == vote.Promised && uint64(k.freed) > answer.Epoch { // gone since
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

func (c *Etcd) do(ctx context.Context, k *etcdKey, ask vote.Ask) (vote.Answer, error) {
	key := "/vipd/" + c.cfg.Cluster + "/" + ask.VIP
	if ask.Kind == vote.Release {
		return vote.Answer{Kind: vote.Released}, c.giveBack(ctx, k, key)
	}
	if k.lease != 0 && k.ttl < ask.TTL { // the configuration has changed
		if err := c.release(ctx, k); err != nil {
			return vote.Answer{}, err
		}
	}
	if k.lease == 0 {
		if answer, taken, err := c.owner(ctx, key); taken || err != nil {
			return answer, err
		}
	}
	switch err := c.prolong(ctx, k, ask.TTL); {
	case errors.Is(err, rpctypes.ErrLeaseNotFound):
		k.lease, k.rev = 0, 0
		return vote.Answer{Kind: vote.Lost}, nil
	case err != nil:
		return vote.Answer{}, err
	}
	return c.own(ctx, k, key, ask)
}

// prolong has the lease last for ttl from now, or begins it.
func (c *Etcd) prolong(ctx context.Context, k *etcdKey, ttl time.Duration) error {
	if k.lease != 0 {
		_, err := c.client.KeepAliveOnce(ctx, k.lease)
		if err != nil && !errors.Is(err, rpctypes.ErrLeaseNotFound) {
			return fmt.Errorf("prolong lease: %w", err)
		}
		return err
	}
	seconds := int64((ttl + time.Second - 1) / time.Second)
	lease, err := c.client.Grant(ctx, seconds)
	if err != nil {
		return fmt.Errorf("begin lease: %w", err)
	}
	k.lease, k.ttl, k.rev = lease.ID, time.Duration(lease.TTL)*time.Second, 0
	if k.ttl < ttl {
		return fmt.Errorf("begin lease: etcd gives %s, not %s", k.ttl, ttl)
	}
	return nil
}

// own creates the key if there is none, and says whose it is.
func (c *Etcd) own(ctx context.Context, k *etcdKey, key string, ask vote.Ask) (vote.Answer, error) {
	txn, err := c.client.Txn(ctx).If(clientv3.Compare(clientv3.CreateRevision(key), "=", 0)).
		Then(clientv3.OpPut(key, c.cfg.Node, clientv3.WithLease(k.lease))).Else(clientv3.OpGet(key)).Commit()
	if err != nil {
		return vote.Answer{}, fmt.Errorf("create key %s: %w", key, err)
	}
	rev, mine := txn.Header.Revision, txn.Succeeded
	if !mine {
		if kvs := txn.Responses[0].GetResponseRange().Kvs; len(kvs) == 1 {
			rev, mine = kvs[0].CreateRevision, clientv3.LeaseID(kvs[0].Lease) == k.lease
		}
	}
	was := k.rev
	switch {
	case !mine:
		err := c.release(ctx, k)
		if was != 0 {
			return vote.Answer{Kind: vote.Lost}, nil
		}
		if err != nil {
			return vote.Answer{}, err
		}
		answer, _, err := c.owner(ctx, key)
		return answer, err
	case was != 0 && was != rev: // somebody deleted it; this is another promise
		k.rev = rev
		return vote.Answer{Kind: vote.Lost}, nil
	}
	k.rev = rev
	if ask.Epoch < uint64(rev) { // a new key has a number that is above those before it
		return vote.Answer{Kind: vote.Refused, Why: vote.OldEpoch, Epoch: uint64(rev) - 1}, nil
	}
	return vote.Answer{Kind: vote.Granted, Epoch: ask.Epoch, Remaining: ask.TTL}, nil
}

// owner says who has the key, when somebody has.
func (c *Etcd) owner(ctx context.Context, key string) (vote.Answer, bool, error) {
	got, err := c.client.Get(ctx, key)
	if err != nil {
		return vote.Answer{}, false, fmt.Errorf("read key %s: %w", key, err)
	}
	answer := vote.Answer{Kind: vote.Refused, Why: vote.Trouble, Remaining: etcdSoon}
	if len(got.Kvs) == 0 {
		return answer, false, nil
	}
	kv := got.Kvs[0]
	answer.Why, answer.Owner, answer.Epoch = vote.Promised, string(kv.Value), uint64(kv.CreateRevision)
	left, err := c.client.TimeToLive(ctx, clientv3.LeaseID(kv.Lease))
	if err != nil {
		return vote.Answer{}, false, fmt.Errorf("read lease of key %s: %w", key, err)
	}
	// It may be released before, so who waits does not wait for all of it.
	answer.Remaining = min(etcdPoll, max(etcdSoon, time.Duration(left.TTL)*time.Second))
	return answer, true, nil
}

// giveBack gives the key back. Who has none just finds out whether etcd answers.
func (c *Etcd) giveBack(ctx context.Context, k *etcdKey, key string) error {
	if k.lease != 0 {
		return c.release(ctx, k)
	}
	if _, err := c.client.Get(ctx, key); err != nil {
		return fmt.Errorf("read key %s: %w", key, err)
	}
	return nil
}

// release gives the key back, with its lease.
func (c *Etcd) release(ctx context.Context, k *etcdKey) error {
	if k.lease == 0 {
		return nil
	}
	_, err := c.client.Revoke(ctx, k.lease)
	if err != nil && !errors.Is(err, rpctypes.ErrLeaseNotFound) {
		return fmt.Errorf("revoke lease: %w", err)
	}
	k.lease, k.rev = 0, 0
	return nil
}
