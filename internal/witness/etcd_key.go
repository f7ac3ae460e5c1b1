package witness

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/vipd/vipd/pkg/vote"
)

// etcdKey is the vote on one VIP. It is two keys of the etcd:
//
//	/vipd/CLUSTER/VIP        hangs on a lease: gone when nobody prolongs it
//	/vipd/CLUSTER/VIP/claim  whose vote it is, until that host hands it back or another one takes it
//
// The vote belongs to whom the claim names. A lease alone does not prove that a host
// holds no more: a former leader that was stopped and goes on revokes leases that the
// new leader has prolonged, and an operator may revoke one. So a host that finds a key
// gone takes the vote only when
//
//   - there is no claim: it was handed back; or
//   - the lease ran out by its own count, see [sighting]; or
//   - a promise could not have lasted until now, had it been renewed just before.
//
// A holder whose key is gone while its claim stands puts it back, with the claim, so
// that whoever waits begins again.
//
// Only one goroutine at a time works on it, which has busy set.
type etcdKey struct {
	path, node string

	// Of Etcd.mu.
	next   *vote.Ask // newest that waits
	busy   bool
	freed  int64 // revision at which the key, or its claim, went last
	looked int64 // revision at which it was last looked at

	// Of who works on it.
	lease clientv3.LeaseID // 0 = none
	ttl   time.Duration    // of the lease
	claim string           // value of this host's claim, "" = it has made none
	epoch int64            // revision at which that was made, 0 = not known to be made
	since time.Time        // when the promise that was given last was asked for, at the latest
	other sighting
}

// claimOf makes the name of a claim from that of a key.
const claimOf = "/claim"

// sighting is what is known of another host's claim.
//
// A holder that has not prolonged its lease for more than lateAfter of it renews the
// claim as well, which gives that another revision; and a call takes no longer than
// one part of etcdTries. So who sees a lease of which less than half is left, and the
// same claim when the lease has run out, knows that it was not prolonged in between.
type sighting struct {
	claim int64     // revision of the claim, 0 = none
	end   time.Time // when the lease has run out, at the latest; zero = not known
	gone  time.Time // since when the key is known to be gone
}

// lateAfter is the part of a promise, in percent, after which a renewal is late.
const lateAfter = 30

// drifted is d on a clock that is too slow, next to one that is too fast.
func drifted(d time.Duration) time.Duration { return d + d*2*vote.Drift/1e6 }

// saw takes what is left of the lease, as it was answered: whole seconds of granted
// ones, rounded down.
func (s *sighting) saw(claim int64, asked, now time.Time, left, granted int64) {
	seconds := func(n int64) time.Duration { return time.Duration(max(0, n)) * time.Second }
	prolonged := left > 0 && !s.end.IsZero() && asked.Add(seconds(left)).After(s.end)
	if s.claim != claim || 2*(left+1) > granted || prolonged {
		*s = sighting{claim: claim}
	}
	s.gone = time.Time{}
	if end := now.Add(drifted(seconds(left + 1))); 2*(left+1) <= granted && (s.end.IsZero() || end.Before(s.end)) {
		s.end = end
	}
}

// wait is for how long the vote cannot be taken yet, when the key is gone and its
// claim is not.
func (s *sighting) wait(claim int64, now time.Time, ttl time.Duration) time.Duration {
	if s.claim != claim {
		*s = sighting{claim: claim}
	}
	if s.gone.IsZero() {
		s.gone = now
	}
	until := s.gone.Add(drifted(ttl))
	if !s.end.IsZero() && s.end.Before(until) {
		until = s.end
	}
	return max(0, until.Sub(now))
}

// view is how the two keys are, at one revision.
type view struct {
	key, claim *mvccpb.KeyValue // nil = there is none
	term       uint64           // of the leader then
}

// rev is the revision of the claim, 0 when there is none.
func (v view) rev() int64 {
	if v.claim == nil {
		return 0
	}
	return v.claim.ModRevision
}

func (v view) mine(k *etcdKey) bool { return v.claim != nil && string(v.claim.Value) == k.claim }

// claimant is the host that has made a claim.
func claimant(claim *mvccpb.KeyValue) string {
	name, _, _ := strings.Cut(string(claim.Value), " ")
	return name
}

// do does what is asked, once more if the keys have changed meanwhile.
func (c *Etcd) do(ctx context.Context, k *etcdKey, ask vote.Ask) (answer vote.Answer, err error) {
	began := time.Now()
	if ask.Kind == vote.Release {
		return vote.Answer{Kind: vote.Released}, c.giveBack(ctx, k)
	}
	for range 2 {
		if answer, err = c.promise(ctx, k, ask, began); !errors.Is(err, errRaced) {
			return answer, err
		}
	}
	return vote.Answer{Kind: vote.Refused, Why: vote.Trouble, Remaining: etcdSoon}, nil
}

// promise gets the vote, or goes on with it.
func (c *Etcd) promise(ctx context.Context, k *etcdKey, ask vote.Ask, began time.Time) (vote.Answer, error) {
	v, err := c.look(ctx, k)
	switch {
	case err != nil:
		return vote.Answer{}, err
	case k.epoch != 0 && !v.mine(k):
		k.forget()
		return vote.Answer{Kind: vote.Lost}, nil
	case !v.mine(k):
		if answer, err := c.others(ctx, k, v, ask); answer.Why != 0 || err != nil {
			return answer, err
		}
		err = c.put(ctx, k, v, ask.TTL)
	case v.key == nil || clientv3.LeaseID(v.key.Lease) != k.lease || k.ttl < ask.TTL:
		err = c.put(ctx, k, v, ask.TTL)
	default:
		err = c.prolong(ctx, k, v, began)
	}
	if err != nil {
		return vote.Answer{}, err
	}
	k.since = began
	if ask.Epoch < uint64(k.epoch) { // a new claim has a number that is above those before it
		return vote.Answer{Kind: vote.Refused, Why: vote.OldEpoch, Epoch: uint64(k.epoch) - 1}, nil
	}
	return vote.Answer{Kind: vote.Granted, Epoch: ask.Epoch, Remaining: ask.TTL}, nil
}

// twice calls again when there is no answer in a third of the time that is left: the
// next call goes to another member.
func twice[T any](ctx context.Context, call func(context.Context) (T, error)) (T, error) {
	end, _ := ctx.Deadline()
	first, cancel := context.WithTimeout(ctx, time.Until(end)/3)
	got, err := call(first)
	late := first.Err() != nil
	cancel()
	if late && err != nil && ctx.Err() == nil {
		return call(ctx)
	}
	return got, err
}

// look reads both keys, as a majority of the members has them.
func (c *Etcd) look(ctx context.Context, k *etcdKey) (view, error) {
	txn, err := twice(ctx, func(ctx context.Context) (*clientv3.TxnResponse, error) {
		return c.client.Txn(ctx).Then(clientv3.OpGet(k.path), clientv3.OpGet(k.path+claimOf)).Commit()
	})
	if err != nil {
		return view{}, fmt.Errorf("read key %s: %w", k.path, err)
	}
	c.mu.Lock()
	k.looked = txn.Header.Revision
	c.mu.Unlock()
	one := func(i int) *mvccpb.KeyValue {
		if kvs := txn.Responses[i].GetResponseRange().Kvs; len(kvs) == 1 {
			return kvs[0]
		}
		return nil
	}
	v := view{key: one(0), claim: one(1), term: txn.Header.RaftTerm}
	if v.mine(k) && k.epoch == 0 { // nobody heard the answer
		k.epoch = v.claim.ModRevision
	}
	return v, nil
}

// others says whose the vote is, when it may not be taken.
func (c *Etcd) others(ctx context.Context, k *etcdKey, v view, ask vote.Ask) (vote.Answer, error) {
	answer := vote.Answer{Kind: vote.Refused, Why: vote.Promised, Epoch: uint64(v.rev())}
	if v.key == nil {
		if v.claim == nil || claimant(v.claim) == c.cfg.Node { // an earlier process
			return vote.Answer{}, nil
		}
		answer.Owner = claimant(v.claim)
		answer.Remaining = min(etcdPoll, k.other.wait(v.rev(), time.Now(), ask.TTL))
		if answer.Remaining == 0 {
			return vote.Answer{}, nil
		}
		return answer, nil
	}
	asked := time.Now()
	left, err := twice(ctx, func(ctx context.Context) (*clientv3.LeaseTimeToLiveResponse, error) {
		return c.client.TimeToLive(ctx, clientv3.LeaseID(v.key.Lease))
	})
	if err == nil {
		err = leads(left.RaftTerm, v.term)
	}
	if err != nil {
		return vote.Answer{}, fmt.Errorf("read lease of key %s: %w", k.path, err)
	}
	if left.TTL >= 0 { // otherwise it has gone since
		k.other.saw(v.rev(), asked, time.Now(), left.TTL, left.GrantedTTL)
	}
	// It may be handed back before, so who waits does not wait for all of it.
	answer.Owner, answer.Remaining = string(v.key.Value), min(etcdPoll, max(etcdSoon, time.Duration(left.TTL-1)*time.Second))
	return answer, nil
}

// leads reports an error when who answered has an older leader than who answered
// before: a former leader knows nothing of what the new one has done with a lease.
func leads(term, before uint64) error {
	if term < before {
		return fmt.Errorf("a member answers that is behind: raft term %d, not %d", term, before)
	}
	return nil
}

// errRaced says that the keys are not as they were when they were looked at.
var errRaced = errors.New("another host was faster")

// put makes the key, and this host's claim, if both are as they were.
func (c *Etcd) put(ctx context.Context, k *etcdKey, v view, ttl time.Duration) error {
	lease, err := c.client.Grant(ctx, int64((ttl+time.Second-1)/time.Second))
	if err != nil {
		return fmt.Errorf("begin lease: %w", err)
	}
	if got := time.Duration(lease.TTL) * time.Second; got < ttl {
		return fmt.Errorf("begin lease: etcd gives %s, not %s", got, ttl)
	}
	k.lease, k.ttl = lease.ID, time.Duration(lease.TTL)*time.Second
	if k.claim == "" {
		k.claim = c.cfg.Node + " " + rand.Text()
	}
	rev := int64(0)
	if v.key != nil {
		rev = v.key.ModRevision
	}
	txn, err := c.client.Txn(ctx).
		If(clientv3.Compare(clientv3.ModRevision(k.path), "=", rev), clientv3.Compare(clientv3.ModRevision(k.path+claimOf), "=", v.rev())).
		Then(clientv3.OpPut(k.path, c.cfg.Node, clientv3.WithLease(k.lease)), clientv3.OpPut(k.path+claimOf, k.claim)).Commit()
	switch {
	case err != nil:
		return fmt.Errorf("create key %s: %w", k.path, err)
	case !txn.Succeeded:
		_, _ = c.client.Revoke(ctx, lease.ID) // nothing hangs on it
		return errRaced
	case k.epoch == 0:
		k.epoch = txn.Header.Revision
	}
	return nil
}

// prolong has the lease last for its whole time from the view on.
func (c *Etcd) prolong(ctx context.Context, k *etcdKey, v view, now time.Time) error {
	if now.Sub(k.since) > k.ttl*lateAfter/100 {
		if err := c.renewClaim(ctx, k); err != nil {
			return err
		}
	}
	alive, err := twice(ctx, func(ctx context.Context) (*clientv3.LeaseKeepAliveResponse, error) {
		return c.client.KeepAliveOnce(ctx, k.lease)
	})
	switch {
	case errors.Is(err, rpctypes.ErrLeaseNotFound):
		return errRaced // the key is gone by now
	case err != nil:
		return fmt.Errorf("prolong lease: %w", err)
	}
	if err := leads(alive.RaftTerm, v.term); err != nil {
		return fmt.Errorf("prolong lease: %w", err)
	}
	return nil
}

// renewClaim gives the claim another revision.
func (c *Etcd) renewClaim(ctx context.Context, k *etcdKey) error {
	txn, err := c.client.Txn(ctx).If(clientv3.Compare(clientv3.Value(k.path+claimOf), "=", k.claim)).
		Then(clientv3.OpPut(k.path+claimOf, k.claim)).Commit()
	switch {
	case err != nil:
		return fmt.Errorf("renew claim of key %s: %w", k.path, err)
	case !txn.Succeeded:
		return errRaced
	}
	return nil
}

// giveBack hands the vote back. Who has none just finds out whether etcd answers.
func (c *Etcd) giveBack(ctx context.Context, k *etcdKey) error {
	txn := c.client.Txn(ctx)
	if k.claim != "" {
		txn = txn.If(clientv3.Compare(clientv3.Value(k.path+claimOf), "=", k.claim)).
			Then(clientv3.OpDelete(k.path), clientv3.OpDelete(k.path+claimOf))
	}
	if _, err := txn.Else(clientv3.OpGet(k.path)).Commit(); err != nil {
		return fmt.Errorf("delete key %s: %w", k.path, err)
	}
	if k.lease != 0 {
		_, _ = c.client.Revoke(ctx, k.lease) // nothing hangs on it any more
	}
	k.forget()
	return nil
}

// forget is for a vote that this host has not, or not any more.
func (k *etcdKey) forget() { k.lease, k.ttl, k.claim, k.epoch, k.since = 0, 0, "", 0, time.Time{} }
