package main

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"
)

// manyElsewhere is what is known of others, which are not part of the run.
const manyElsewhere = " Measured before on such a machine: runityru/anycastd (86ae4fc), one ToR (FRR), polling of 100 ms: %s."

// measureMany announces and withdraws many prefixes at once.
func measureMany(ctx context.Context, b *bench) error {
	for _, size := range []struct {
		count int
		known string
	}{
		{1000, "start 1427 ms, service killed to none left 182–193 ms, 29 MiB"},
		{10000, "start 1383 ms, service killed to none left 676–903 ms, 52 MiB"},
	} {
		for _, kind := range []torKind{torFRR, torBIRD} {
			rivals := []rival{
				{name: "vipd", start: announceVipd, count: size.count, watch: byEvent},
				{name: "vipd, on lo", start: announceVipd, count: size.count, watch: byEvent, device: "lo"},
				{name: inBIRD, start: announceBIRD, count: size.count, watch: byPoll},
			}
			t := b.table(fmt.Sprintf("%d prefixes, ToR %s", size.count, kind.name), fmt.Sprintf(
				"*All there*: from the start of the process, a new session included, until the ToR's kernel has a route to each, which its BGP has had before. *None left*: from the death of the "+
					"one service until it has none; vipd watches it by event, BIRD's loop polls. *Spread*: from the first route to the last. CPU is of all processes "+
					"of the host from the start to the end, without the checked service; memory is the highest that each ever had. *On lo*: vipd puts every address on lo, "+
					"which nobody else does.%s", fmt.Sprintf(manyElsewhere, size.known)),
				"all there", "none left", "CPU", "peak RSS").against([]string{"vipd", "vipd, on lo", inBIRD}, inBIRD)
			for range b.rounds {
				for _, r := range rivals {
					r.table = t
					if err := b.announceMany(ctx, kind, r); err != nil {
						if ctx.Err() != nil {
							return err
						}
						b.say("%s, %s: %v", t.title, r.name, err)
						t.failed(r.name, err)
					}
				}
			}
			b.finished(t)
		}
	}
	return nil
}

// announceMany is one start and one withdrawal.
func (b *bench) announceMany(ctx context.Context, kind torKind, r rival) (err error) {
	k, err := b.emptyRack(kind, r)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, k.close()) }()
	from := time.Now()
	if err := k.launch(); err != nil {
		return err
	}
	first, last, err := k.fib.wave(ctx, k.count)
	if err != nil {
		return fmt.Errorf("%w: %s", err, tail(k.agent.output()))
	}
	k.add("all there", from, last)
	k.add("all there: spread", first, last)
	if err := window(ctx, time.Second); err != nil {
		return err
	}
	from = time.Now()
	if err := k.service.Signal(syscall.SIGKILL); err != nil {
		return err
	}
	if first, last, err = k.fib.wave(ctx, 0); err != nil {
		return err
	}
	k.add("none left", from, last)
	k.add("none left: spread", first, last)
	return k.tally()
}

// tally takes what the processes of the rival have used since they started.
func (k *rack) tally() error {
	var first []int
	for _, p := range k.agent.processes() {
		first = append(first, p.Pid())
	}
	all := family(first...)
	took, err := spent(all)
	if err != nil {
		return err
	}
	k.table.add("CPU", "ms", k.name, ms(took.own+took.programs))
	k.table.add("peak RSS", "MiB", k.name, peak(all))
	now, err := used(all)
	if err != nil {
		return err
	}
	k.table.add("PSS at the end", "MiB", k.name, now.pss)
	return nil
}
