package daemon

import (
	"context"
	"maps"
	"reflect"
	"slices"
	"sync"
	"time"

	"github.com/vipd/vipd/internal/control"
	channel "github.com/vipd/vipd/internal/pair"
	"github.com/vipd/vipd/internal/witness"
	"github.com/vipd/vipd/pkg/config"
	"github.com/vipd/vipd/pkg/engine"
	"github.com/vipd/vipd/pkg/pair"
	"github.com/vipd/vipd/pkg/vote"
)

// votes carries what this host asks of voters, and what it answers other hosts. It
// is used in turns only, but for open.
type votes struct {
	asks    map[string][]vote.Ask    // of this turn, by voter
	answers map[string][]vote.Answer // of this turn, by peer
	asked   []*asked                 // witnesses, by name

	mu   sync.Mutex
	open map[string]witness.Client
}

// asked is a witness that votes are asked of.
type asked struct {
	cfg    witnessConfig
	cancel context.CancelFunc
	client witness.Client // nil = not open
}

// witnessConfig is all that matters to how a witness is reached.
type witnessConfig struct {
	node  string
	vote  vote.Witness
	reach config.Witness
}

func newVotes() *votes {
	return &votes{asks: map[string][]vote.Ask{}, answers: map[string][]vote.Answer{}, open: map[string]witness.Client{}}
}

// sendVotes sends what this turn asks and answers: to a peer over the pair channel, to a
// witness on its own.
func (d *Daemon) sendVotes() {
	v := d.votes
	for _, name := range slices.Sorted(maps.Keys(v.asks)) {
		asks := v.asks[name]
		delete(v.asks, name)
		if i := slices.IndexFunc(v.asked, func(w *asked) bool { return w.cfg.vote.Name == name }); i >= 0 {
			if c := v.asked[i].client; c != nil {
				c.Send(asks)
			}
			continue
		}
		tellVotes(d.pair.ready, name, pair.TypeAsk, asks, vote.AskSize, vote.AppendAsk)
	}
	for _, name := range slices.Sorted(maps.Keys(v.answers)) {
		answers := v.answers[name]
		delete(v.answers, name)
		tellVotes(d.pair.ready, name, pair.TypeAnswer, answers, vote.AnswerSize, vote.AppendAnswer)
	}
}

// tellVotes sends a list to a peer, in as few messages as it takes. Without a
// channel it is lost, as it may be on its way.
func tellVotes[T any](c *channel.Channel, peer string, t pair.Type, list []T, size func(T) int, add func([]byte, T) []byte) {
	if c == nil {
		return
	}
	payload := vote.AppendCluster(nil, "")
	empty := len(payload)
	for _, a := range list {
		if len(payload)+size(a) > pair.MaxPayload {
			c.Vote(peer, t, payload)
			payload = payload[:empty]
		}
		payload = add(payload, a)
	}
	c.Vote(peer, t, payload)
}

// votesTold brings what a peer asks, or answers.
func (d *Daemon) votesTold(h channel.Heard) {
	var evs []engine.Event
	if h.Type == pair.TypeAsk {
		_, asks, err := vote.ParseAsks(nil, h.Votes)
		if err != nil {
			d.log.Debug("votes of a peer cannot be read", "peer", h.Peer, "error", err)
			return
		}
		for _, a := range asks {
			evs = append(evs, engine.VoteAsked{Peer: h.Peer, Boot: h.Boot, Ask: a})
		}
	} else {
		_, answers, err := vote.ParseAnswers(nil, h.Votes)
		if err != nil {
			d.log.Debug("votes of a peer cannot be read", "peer", h.Peer, "error", err)
			return
		}
		for _, a := range answers {
			evs = append(evs, engine.VoteAnswered{Voter: h.Peer, Answer: a})
		}
	}
	d.post(evs...)
}

// configureVotes opens the ways to the witnesses, and closes those that are not
// asked any more, or are reached in another way. It belongs into a turn.
func (d *Daemon) configureVotes(cfg *config.Config) {
	want := map[string]witnessConfig{}
	for _, w := range cfg.Engine.Witnesses {
		want[w.Name] = witnessConfig{cfg.Engine.Node, w, cfg.Witnesses[w.Name]}
	}
	d.votes.asked = slices.DeleteFunc(d.votes.asked, func(a *asked) bool {
		next, stays := want[a.cfg.vote.Name]
		if stays && reflect.DeepEqual(next, a.cfg) {
			delete(want, a.cfg.vote.Name)
			return false
		}
		a.cancel()
		return true
	})
	for _, name := range slices.Sorted(maps.Keys(want)) {
		ctx, cancel := context.WithCancel(d.run)
		a := &asked{cfg: want[name], cancel: cancel}
		d.votes.asked = append(d.votes.asked, a)
		d.spawn(func() error {
			defer cancel()
			d.consult(ctx, a)
			return nil
		})
	}
}

// consult keeps the way to a witness open until ctx ends.
func (d *Daemon) consult(ctx context.Context, a *asked) {
	name, last := a.cfg.vote.Name, ""
	for ctx.Err() == nil {
		err := d.converseWith(ctx, a)
		if err != nil && err.Error() != last {
			last = err.Error()
			d.log.Warn("witness cannot be asked; trying again", "witness", name, "error", err)
		}
		select {
		case <-time.After(reopenAfter):
		case <-ctx.Done():
		}
	}
}

// converseWith opens the way to a witness and listens until it breaks or ctx ends.
func (d *Daemon) converseWith(ctx context.Context, a *asked) error {
	client, err := openWitness(a.cfg, d)
	if err != nil {
		return err
	}
	name := a.cfg.vote.Name
	d.turn(func(time.Time) { a.client = client })
	d.votes.set(name, client)
	err = client.Run(ctx, func(answer vote.Answer) { d.post(engine.VoteAnswered{Voter: name, Answer: answer}) })
	d.turn(func(time.Time) { a.client = nil })
	d.votes.unset(name, client)
	if closed := client.Close(); err == nil {
		err = closed
	}
	return err
}

func openWitness(cfg witnessConfig, d *Daemon) (witness.Client, error) {
	if cfg.vote.Etcd {
		return witness.OpenEtcd(witness.EtcdConfig{
			Witness: cfg.vote.Name, Node: cfg.node, Cluster: cfg.vote.Cluster, Endpoints: cfg.reach.Endpoints,
			CAFile: cfg.reach.CAFile, CertFile: cfg.reach.CertFile, Key: []byte(cfg.reach.Key),
		}, d.log)
	}
	return witness.OpenRemote(witness.RemoteConfig{
		Witness: cfg.vote.Name, Node: cfg.node, Cluster: cfg.vote.Cluster, Address: cfg.reach.Address, Key: []byte(cfg.reach.Key),
	}, d.log)
}

func (v *votes) set(name string, c witness.Client) {
	v.mu.Lock()
	v.open[name] = c
	v.mu.Unlock()
}

// unset forgets a client, unless there is a newer one.
func (v *votes) unset(name string, c witness.Client) {
	v.mu.Lock()
	if v.open[name] == c {
		delete(v.open, name)
	}
	v.mu.Unlock()
}

// counts is how each witness is reached.
func (v *votes) counts() []control.WitnessCount {
	v.mu.Lock()
	defer v.mu.Unlock()
	var list []control.WitnessCount
	for _, name := range slices.Sorted(maps.Keys(v.open)) {
		s := v.open[name].Status()
		list = append(list, control.WitnessCount{
			Name: name, Heard: s.Heard, Sent: s.Sent, Unsent: s.Unsent, Received: s.Received, Refused: byCause(s.Refused), Err: s.Err,
		})
	}
	return list
}
