package witness

import (
	"context"
	"strings"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/vipd/vipd/pkg/vote"
)

// watch tells of each key that goes, so that who waits for it need not wait until it
// looks again. It returns when ctx ends. What it misses is found by looking.
func (c *Etcd) watch(ctx context.Context, answered func(vote.Answer)) {
	prefix := "/vipd/" + c.cfg.Cluster + "/"
	for ctx.Err() == nil {
		for got := range c.client.Watch(ctx, prefix, clientv3.WithPrefix(), clientv3.WithFilterPut()) {
			for _, ev := range got.Events {
				c.freed(strings.TrimPrefix(string(ev.Kv.Key), prefix), ev.Kv.ModRevision, answered)
			}
		}
		select {
		case <-time.After(etcdPoll):
		case <-ctx.Done():
		}
	}
}

// freed is a key that was deleted, or whose lease is over, at a revision.
func (c *Etcd) freed(vip string, rev int64, answered func(vote.Answer)) {
	c.mu.Lock()
	k := c.keys[vip]
	if k != nil {
		k.freed = rev
	}
	c.mu.Unlock()
	if k != nil {
		answered(vote.Answer{Kind: vote.Freed, VIP: vip})
	}
}
