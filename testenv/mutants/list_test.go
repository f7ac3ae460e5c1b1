package mutants

const (
	scenarios = "pkg/engine"
	worlds    = "pkg/engine/sim"
)

// mutants are known to be bad: each takes away one rule that keeps a VIP with one
// host. docs/testing.md has the table.
var mutants = []mutant{
	{
		name:  "lease that revives",
		edits: []edit{{"pkg/engine/sim/lease.go", "	if !now.Before(h.filter.until[a.VIP]) {\n		return false\n	}\n", ""}},
		by:    worlds, run: "TestExclusive", seeds: 500, finds: `is held by .*|revives its lease.*`,
	},
	{
		name: "advert before refresh",
		edits: []edit{
			{"pkg/engine/vip.go", "	if out.Advertise {\n		e.renew(now, v)\n	}\n", ""},
			{"pkg/engine/vip.go", "		e.advertise(v, v.router.Settings().Priority)\n	}\n	if out.Contest {", "		e.advertise(v, v.router.Settings().Priority)\n	}\n	if out.Advertise {\n		e.renew(now, v)\n	}\n	if out.Contest {"},
		},
		by: worlds, run: "TestExclusive", seeds: 500, finds: `before it refreshes its lease`,
	},
	{
		name:  "lease longer than the silence of others",
		edits: []edit{{"pkg/engine/lease.go", "v.cfg.Interval * 5 / 2", "v.cfg.Interval * 5"}},
		by:    worlds, run: "TestExclusive", seeds: 500, finds: `is held by .*`,
	},
	{
		name:  "late wake is nothing",
		edits: []edit{{"pkg/engine/engine.go", "	e.lateWake(now)\n", ""}},
		by:    worlds, run: "TestExclusive", seeds: 500, finds: `decides to announce .* over`,
	},
	{
		name:  "overlap without end",
		edits: []edit{{"pkg/engine/handover.go", "true, earliest(v.offer.until, now.Add(linger))", "true, now.Add(time.Second)"}},
		by:    worlds, run: "TestExclusive", seeds: 500, finds: `is held by .* since`,
	},
	{
		name:  "old offer is taken",
		edits: []edit{{"pkg/engine/handover.go", "len(v.blockers) > 0 || now.Sub(t.since) > acceptMost", "len(v.blockers) > 0"}, {"pkg/engine/takeover.go", "now.Sub(m.taking.since) > acceptMost", "false"}},
		by:    scenarios, run: "TestOldOffer", finds: `for an offer of .*`,
	},
	{
		name:  "vacancy without the ack",
		edits: []edit{{"pkg/engine/pair_heard.go", " || p.hearsUs < v.saidSeq ||", " ||"}},
		by:    worlds, run: "TestVacantOnce", seeds: 4000, finds: `is held by .*`,
	},
	{
		name:  "who hangs is preempted",
		edits: []edit{{"pkg/engine/takeover.go", "m.router.Due() && !e.spares(now, m) ||", "m.router.Due() ||"}},
		by:    worlds, run: "TestFailing/exclusive-preempted-while-it-hangs", finds: `is held by .*`,
	},
	{
		name:  "hand-over taken for a release",
		edits: []edit{{"pkg/engine/pair_heard.go", "	if h := e.holder(now, v); h != nil {\n		e.activeTold(now, v, h)\n		return\n	}\n", ""}},
		by:    worlds, run: "TestFailing/exclusive-handed-on", finds: `is held by .*`,
	},
	{
		name:  "takeover forgotten while a lease ends",
		edits: []edit{{"pkg/engine/lease.go", "	case !v.router.Due():\n	case !ev.On:\n", "	case !ev.On || !v.router.Due():\n	case false:\n"}},
		by:    "pkg/engine", run: "TestDueWhileLeaseEnds", finds: `lease_test.*`,
	},
	{
		name:  "silent host takes over",
		edits: []edit{{"pkg/engine/pair_heard.go", "	if e.drill.silent() {\n", "	if e.drill.silent() && v.quiet {\n"}},
		by:    worlds, run: "TestFailing/drilled-silent-taker", finds: `is held by .*`,
	},
	{
		name:  "release before removal",
		edits: []edit{{"pkg/engine/vip.go", "		e.abandonHook(v)\n		e.shut(now, v)\n	}\n	e.schedule(v)\n", "		e.abandonHook(v)\n		e.shut(now, v)\n		e.left(now, v)\n	}\n	e.schedule(v)\n"}},
		by:    worlds, run: "TestExclusive", seeds: 500, finds: `releases .* still`,
	},
	{
		name:  "fence not verified",
		edits: []edit{{"pkg/fence/round.go", "	if o == readsOff {\n", "	if o == readsOff || o == reads {\n"}},
		by:    worlds, run: "TestFenced", seeds: 1000, finds: `is held by .*`,
	},
	{
		name: "stale proof",
		edits: []edit{
			{"pkg/fence/proof.go", `p.Kind != "" && now.Before(p.Until) && !f.alive(now) && (p.Kind == ByOperator || !f.sit.Upset.After(p.Read))`, `p.Kind != ""`},
			{"pkg/fence/fencer.go", "	f.proof, f.offLevel = Proof{}, -1\n}\n\n// stand ends", "	f.offLevel = -1\n}\n\n// stand ends"},
		},
		by: worlds, run: "TestFenced", seeds: 1000, finds: `is held by .*`,
	},
	{
		name:  "takeover without proof",
		edits: []edit{{"pkg/engine/fencing.go", "	case v.cfg.Takeover != TakeoverFence:\n		return true\n", "	case v.cfg.Takeover != TakeoverVotes:\n		return true\n"}},
		by:    worlds, run: "TestFenced", seeds: 500, finds: `is held by .*`,
	},
	{
		name:  "word of a peer that comes first",
		edits: []edit{{"pkg/engine/fencing.go", "!r.Held && first, true", "!r.Held && (first || told), true"}},
		by:    worlds, run: "TestFailing/fenced-old-word", finds: `is held by .*`,
	},
	{
		name:  "fence while isolated",
		edits: []edit{{"pkg/fence/turn.go", `if f.sit.Isolated != "" {`, `if f.sit.Isolated == "nowhere" {`}},
		by:    worlds, run: "TestFenced", seeds: 1000, finds: `while its check .* fails`,
	},
	{
		name:  "turns by what only one host knows",
		edits: []edit{{"pkg/engine/fencing.go", "ours, known := p.known(v.name)", "ours, known := e.told(now, v), p.knows != nil"}},
		by:    worlds, run: "TestFailing/voted-same-turn", finds: `every host was fenced`,
	},
	{
		name:  "turns by what the peer does not know to be heard",
		edits: []edit{{"pkg/engine/fencing.go", "stood = p.stood() //", "stood = p.vips //"}},
		by:    worlds, run: "TestFailing/fenced-changed-then-one-way", finds: `every host was fenced`,
	},
	{
		name:  "content without a vote",
		edits: []edit{{"pkg/engine/fencing.go", "s.PeerContent = s.PeerContent && v.ballot.holder == nil", "_ = s.PeerContent"}},
		by:    worlds, run: "TestFailing/voted-content-peer", finds: `every host was fenced`,
	},
	{
		name:  "fence out of turn",
		edits: []edit{{"pkg/fence/turn.go", "	if now.Before(begin) {\n", "	if now.Before(begin) && f.cfg.Settle < 0 {\n"}},
		by:    "pkg/fence", run: "TestNeverBoth", finds: `both hosts are off`,
	},
	{
		name:  "silent backups",
		edits: []edit{{"pkg/engine/pair.go", "!e.pair.stirred || e.pair.boot == 0 || e.takingUp() {", "!e.pair.stirred || e.pair.boot == 0 || e.takingUp() || !slices.ContainsFunc(e.vips, func(v *vip) bool { return v.state != Backup || !v.router.Heard().Source.IsValid() }) {"}},
		by:    worlds, run: "TestFenced", seeds: 1000, finds: `which is well`,
	},
	{
		name:  "no sit-out",
		edits: []edit{{"pkg/vote/grantor.go", "ready: now.Add(maxTTL)", "ready: now"}},
		by:    worlds, run: "TestVoted", seeds: 3000, finds: `is held by .*`,
	},
	{
		name:  "votes without margin",
		edits: []edit{{"pkg/vote/tell.go", "!h.Until().Before(now.Add(2*h.cfg.Lease))", "h.Until().After(now)"}},
		by:    worlds, run: "TestVoted", seeds: 1000, finds: `is held by .*|hands the vote .* still`,
	},
	{
		name:  "vote promised twice",
		edits: []edit{{"pkg/vote/grantor.go", "	case other && p.valid(now):\n		return Promised, p.until.Sub(now)\n", ""}},
		by:    worlds, run: "TestVoted", seeds: 1000, finds: `is held by .*`,
	},
	{
		name:  "votes back before removal",
		edits: []edit{{"pkg/engine/voting.go", "case (!wanted || b.holder.Over()) && !idle && v.applied && !v.there:", "case !wanted && !idle:"}},
		by:    worlds, run: "TestVoted", seeds: 1000, finds: `hands the vote .* still`,
	},
	{
		name: "votes of a hold that is over back before removal",
		edits: []edit{
			{"pkg/vote/holder.go", "h.stage == Waiting && !h.over && !now.Before(h.due)", "h.stage == Waiting && !now.Before(h.due)"},
			{"pkg/vote/tell.go", "if !h.over {", "if h.stage > Idle {"},
		},
		by: worlds, run: "TestFailing/voted-kept-after-proof", finds: `hands the vote .* still`,
	},
	{
		name:  "old epoch granted",
		edits: []edit{{"pkg/vote/grantor.go", "	case ask.Epoch < p.epoch, other && ask.Epoch == p.epoch:\n		return OldEpoch, 0\n", ""}},
		by:    worlds, run: "TestVoted", seeds: 3000, finds: `in epoch \d+, after .*`,
	},
	{
		name:  "brake off",
		edits: []edit{{"pkg/fence/turn.go", "!f.round.shot && len(shots) >= f.cfg.Rate.Max", "!f.round.shot && len(shots) > f.cfg.Rate.Max"}},
		by:    worlds, run: "TestFenced", seeds: 1000, finds: `off \d+ times within`,
	},
	{
		name:  "brake forgotten by a restart",
		edits: []edit{{"pkg/fence/history.go", "			f.shots = append(f.shots, t)\n", "			_ = t\n"}},
		by:    worlds, run: "TestFailing/fenced-brake", finds: `off \d+ times within`,
	},
	{
		name:  "brake that holds back readings",
		edits: []edit{{"pkg/fence/round.go", "f.offLevel >= 0 || f.aimed < 0 ||", "f.offLevel >= 0 || f.aimed < len(f.cfg.Levels) ||"}},
		by:    worlds, run: "TestFailing/fenced-called-off-braked", finds: `held by \[\]`,
	},
	{
		name:  "lease that a slow clock makes too long",
		edits: []edit{{"pkg/engine/lease.go", "v.cfg.Interval * 5 / 2", "v.cfg.Interval * 280 / 100"}},
		by:    worlds, run: "TestFailing/exclusive-slow-clock", finds: `is held by .*`,
	},
	{
		name:  "fencing that is not tried again",
		edits: []edit{{"pkg/fence/round.go", "longestRest = 30 * time.Second", "longestRest = time.Hour"}, {"pkg/fence/round.go", "firstRest   = time.Second ", "firstRest   = time.Hour "}},
		by:    worlds, run: "TestFenced", seeds: 500, finds: `after the .* is held by \[\], not within .*`,
	},
	{
		name:  "minority holds on",
		edits: []edit{{"pkg/vote/holder.go", "len(c.Voters)/2 + 1", "max(1, len(c.Voters)/2)"}},
		by:    worlds, run: "TestVoted", seeds: 1000, finds: `is held by .*`,
	},
	{
		name:  "group that waits for a member that waits",
		edits: []edit{{"pkg/engine/vip.go", "		for _, m := range v.peers() {\n			e.stir(m) // votes are asked for when all members are due\n		}\n", ""}},
		by:    scenarios, run: "TestScenarios/votes-sync-group", finds: `web on lb2 is BACKUP`,
	},
	{
		name:  "offer taken twice",
		edits: []edit{{"pkg/engine/handover.go", "	if t.taken || v.router.State()", "	if v.taking == t || v.router.State()"}},
		by:    "pkg/engine", run: "TestOfferTakenOnce", finds: `the same offer once more.*`,
	},
}
