// Package fence makes sure that a silent peer holds nothing any more: it has the
// peer's power cut, or its port shut, and believes it only when the device reads
// off again and again. It decides; the programs that do it are run by
// fence/agent.
//
// There is one [Fencer] for each peer host, not for each VIP: one shot serves
// all. Data passes through it like this:
//
//	Heard      an authentic message of the peer came in ──┐
//	Situation  which VIPs wait, and how this host stands ─┤
//	Ended      an agent has ended ────────────────────────┼─▶ Step ─▶ RunAgent, StopAgent
//	Configure  a reload                                   │           Report, Remember
//	Wake       time has passed, see Next ─────────────────┘
//
// and [Fencer.Proof] says whether the peer is known not to hold anything now.
//
// A round goes through the levels in order, until all devices of one have cut
// the peer off and say so themselves:
//
//	       silent, wanted,            exit 0 of all        read off, several
//	       nothing forbids it         devices              times in a row
//	IDLE ───────────────────▶ CUTTING ─────────▶ VERIFYING ─────────▶ PROVEN
//	  ▲  ▲                       │ │                 │                   │ read again
//	  │  └── heard, or not ──────┘ └── next level ◀──┘                   │ while wanted
//	  │      wanted any more           none left: WAITING, then again    ▼
//	  └───────────────────────────────── heard ◀─────────────────────────┘
//
// # Never both
//
// Two hosts that lose each other must not fence each other. Each Fencer by
// itself keeps to these rules; together they leave at least one host running:
//
//   - A host that has not heard the peer since it started (or was stopped, or
//     lost its lease) does not fence it, unless boot_wait says so. A host that was
//     fenced and boots into a cut network therefore waits, and does not shoot back.
//   - A host that may be the isolated one, because a check of its gateway fails,
//     does not fence: it is not the one to survive. When the check passes again, it
//     listens for one [Config.Silence] first: the peer was silent because of it.
//   - A peer that held everything when it was last heard has no reason to fence
//     us, so we go first. In every other case time is divided into turns, counted
//     from the moment at which the peer fell silent, which is the same on both
//     hosts up to one [Config.Silence]. The turns belong to the hosts
//     alternately; who has the first one follows from what both knew when they
//     last spoke: who held a VIP, else which is preferred. A shot begins and ends
//     within a turn of one's own, and between the end of the longest shot and the
//     next turn lies [Config.Silence] and the time that a device needs to act.
//     So one shot has had its effect before the other host may begin, and a host
//     that was hit does not begin.
//
// What this rests on: hosts that lose each other do so within one Silence; a
// device that reports off has cut the power no later than shortly after its
// agent ended; the clocks of the hosts run at about the same speed. A cut link
// alone cannot break any of it. Two faults at once can: a link that fails in one
// direction first and in the other one much later, together with devices that
// act late. The test TestNeverBoth plays this with two hosts.
package fence
