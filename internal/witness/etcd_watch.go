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
	for ctx.Err() == nil {
		for got := range c.client.Watch(ctx, c.prefix(), clientv3.WithPrefix(), clientv3.WithFilterPut()) {
			for _, ev := range got.Events {
				c.freed(string(ev.Kv.Key), ev.Kv.ModRevision, answered)
			}
		}
		select {
		case <-time.After(etcdPoll):
		case <-ctx.Done():
		}
	}
}

// freed is a key, or a claim, that was deleted at a revision.
func (c *Etcd) freed(path string, rev int64, answered func(vote.Answer)) {
	vip := strings.TrimSuffix(strings.TrimPrefix(path, c.prefix()), claimOf)
	c.mu.Lock()
	k := c.keys[vip]
	news := k != nil && k.freed != rev // a key and its claim go together
	if news {
		k.freed = rev
	}
	c.mu.Unlock()
	if news {
		answered(vote.Answer{Kind: vote.Freed, VIP: vip})
	}
}
