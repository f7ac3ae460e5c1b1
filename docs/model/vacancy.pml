/*
 * vacancy.pml: two hosts never both take a VIP that nobody holds.
 *
 * Each host tells the other, on the pair channel, its rank, whether it holds the
 * VIP, and which of the other's states it has heard. One that finds that the other
 * holds nothing, has heard how it stands itself, and comes after it, takes the VIP
 * at once: no silence is waited for (vacant, in pkg/engine/pair_heard.go).
 *
 * A takeover has two steps: it is decided, and some time later, when the kernel has
 * confirmed the lease, it is done and told. Ranks change, hosts restart and
 * messages are lost, doubled and overtaken at any moment, also between the two.
 *
 * Mutants, each of which must fail:
 *   NO_ACK      whether the other has heard how we stand does not matter
 *   NO_RECHECK  what was decided is done whatever was heard meanwhile
 *   QUIET       who has taken it says that it holds nothing until its addresses are there
 */

#ifndef CHANGES
#define CHANGES 5 /* changes of rank, releases and restarts of both hosts together */
#endif
#define RANKS 3   /* 0 = not eligible; of equal ones host 0 comes first */

mtype = { standby, deciding, holding };

/* A host, as it is. */
mtype role[2] = standby;
byte rank[2];
byte boot[2] = 1;     /* of its process */
byte seq[2] = 1;      /* of its newest state: a change has a new one */
bit quiet[2];         /* it holds the VIP and does not say so yet (QUIET) */

/* What a host knows of the other one. */
byte knowsBoot[2];    /* 0 = it has told nothing */
byte knowsSeq[2];
byte knowsRank[2];
bit knowsActive[2];
byte hearsUs[2];      /* the newest state of ours that it has heard, of our boot */

byte changes;

/* The network: to[h] holds what is under way to host h. Messages leave it in any
 * order, or twice, or never. */
#ifndef ROOM
#define ROOM 2
#endif
chan to[2] = [ROOM] of { byte, byte, byte, bit, byte, byte }; /* boot, seq, rank, active, and of the receiver: boot, seq */

#define other (1 - me)
#define known (knowsBoot[me] != 0)
#define comesFirst(mine, theirs) (mine > theirs || mine == theirs && me == 0)

/* What vacant() asks. */
#ifdef NO_ACK
#define acknowledged true
#else
#define acknowledged (hearsUs[me] >= seq[me])
#endif
#define vacant (known && !knowsActive[me] && acknowledged && rank[me] > 0 && comesFirst(rank[me], knowsRank[me]))

inline tell() {
	if
	:: to[other]!boot[me], seq[me], rank[me], (role[me] == holding && !quiet[me]), knowsBoot[me], knowsSeq[me]
	:: true /* lost */
	fi
}

inline news() { seq[me]++; tell() }

inline hear(b, s, r, a, ab, as) {
	if
	:: b < knowsBoot[me] -> skip /* of a process that has ended: the session refuses it */
	:: else ->
		if
		:: b > knowsBoot[me] -> knowsBoot[me] = b; knowsSeq[me] = 0; hearsUs[me] = 0
		:: else
		fi;
		if
		:: s >= knowsSeq[me] ->
			knowsSeq[me] = s; knowsRank[me] = r; knowsActive[me] = a;
			if
			:: ab == boot[me] && as > hearsUs[me] -> hearsUs[me] = as
			:: else
			fi
		:: else /* overtaken on its way */
		fi
	fi;
	b = 0; s = 0; r = 0; a = 0; ab = 0; as = 0
}

active [2] proctype Host() {
	byte me = _pid;
	byte b, s, r, ab, as;
	bit a;

	do
	:: rank[me] < RANKS-1 -> rank[me]++
	:: break
	od;
end:	do
	/* The beat: the state is told again and again. */
	:: atomic { nfull(to[other]) && !to[other]??[eval(boot[me]), eval(seq[me]), _, _, eval(knowsBoot[me]), eval(knowsSeq[me])] ->
		to[other]!boot[me], seq[me], rank[me], (role[me] == holding && !quiet[me]), knowsBoot[me], knowsSeq[me] }

	/* A message comes, once or to come again. */
	:: atomic { to[me]??b, s, r, a, ab, as ->
		if
		:: true
		:: to[me]!b, s, r, a, ab, as /* and again, later */
		fi;
		hear(b, s, r, a, ab, as)
	   }
	:: atomic { to[me]??_, _, _, _, _, _ /* lost */ }

	/* Nobody holds it, and it is ours: decided ... */
	:: atomic { role[me] == standby && vacant -> role[me] = deciding }

	/* ... and done. */
	:: atomic { role[me] == deciding ->
#ifndef NO_RECHECK
		if
		:: !vacant -> role[me] = standby
		:: else ->
#endif
			role[me] = holding;
			assert(role[other] != holding);
#ifdef QUIET
			quiet[me] = 1;
#endif
			news()
#ifndef NO_RECHECK
		fi
#endif
	   }
	:: atomic { quiet[me] -> quiet[me] = 0; news() }

	/* A check changes the rank. Who is not eligible any more holds nothing. */
	:: atomic { changes < CHANGES ->
		changes++;
		if
		:: rank[me] < RANKS-1 -> rank[me]++
		:: rank[me] > 0 -> rank[me]--;
			if
			:: rank[me] == 0 -> role[me] = standby; quiet[me] = 0
			:: else
			fi
		:: role[me] != standby -> role[me] = standby; quiet[me] = 0 /* an operator's failover */
		fi;
		news()
	   }

	/* The process dies, and another one begins. It knows nothing. */
	:: atomic { changes < CHANGES ->
		changes++; boot[me]++; seq[me] = 1; role[me] = standby; quiet[me] = 0;
		knowsBoot[me] = 0; knowsSeq[me] = 0; knowsRank[me] = 0; knowsActive[me] = 0; hearsUs[me] = 0
	   }
	od
}
