/*
 * votes.pml: with 2 of 3 votes there are never two holders.
 *
 * A and B want to hold one VIP, W is the witness. Each of the three is a grantor:
 * it promises its vote to one host for a time. A host holds the VIP while its
 * kernel answers for it: the kernel lease runs, and the address is there. It may
 * begin the lease, or refresh it, only with two votes that last long enough.
 *
 * Time is counted in ticks. A promise counts from the receipt of the request; who
 * holds counts from the moment the request was sent, and one tick less, since the
 * grantor's clock may be one tick fast. A refresh is decided while the lease runs,
 * is done at any time before its end, and then lasts one more lease: two leases
 * after the decision all is over. So
 *
 *   TTL = 6 >= 2 * LEASE + DRIFT + one tick for the way there and back
 *
 * The network loses, doubles, delays and overtakes what is sent; what is not
 * delivered is lost. A process may be paused between what it decides and what it
 * does about it. A grantor that starts again has forgotten everything, and grants
 * nothing for one TTL (it sits out). A host is a grantor too: when its process
 * starts again, it has forgotten what it held, and first removes the address.
 *
 * Mutants, each of which must fail:
 *   NO_SITOUT      a grantor grants at once after a start
 *   NO_MARGIN      a refresh needs votes for one lease, not for two
 *   REVIVE         a late refresh revives a lease that is over
 *   RELEASE_EARLY  the release is sent before the address is removed
 *
 * With EPOCHS the number of each new holder must be above those of all before it.
 * That holds as long as no grantor has forgotten any (STARTS=0), and not longer:
 * epochs order what is told, and that there is one holder does not rest on them.
 */

#define TTL 6
#define LEASE 2
#define DRIFT 1
#ifdef NO_MARGIN
#define ENOUGH LEASE
#else
#define ENOUGH (2 * LEASE)
#endif

/* How long a promise lasts where the grantor's clock is fast. Where it is not, that
 * is a request that arrives one tick later. */
#define PROMISED (TTL - DRIFT)

/* For so many ticks after the request was sent a vote is good for a decision: it
 * is counted on for TTL - DRIFT, and must last for ENOUGH from then. */
#define USEFUL (TTL - DRIFT - ENOUGH + 1)

#ifndef CAMPAIGNS
#define CAMPAIGNS 2 /* both hosts together try so often to become the holder */
#endif
#ifndef STARTS
#define STARTS 1    /* processes that die and start again */
#endif

#define A 0
#define B 1
#define W 2
#define nobody 3
#define somebody 4  /* a grantor that has forgotten whom */

/* Grantors. */
byte owner[3] = nobody;  /* whom the vote is promised to */
byte promised[3];        /* for so many ticks more */
byte epoch[3];           /* of the newest promise */

/* Hosts. */
byte votes[6];           /* votes[at(g)]: so many ticks more the vote of g is good */
byte mine[2];            /* the epoch that is asked for, or held; 0 = none */
mtype = { out, asking, arming, opening, held, refreshing, closing };
mtype does[2] = out;
bit late[2];             /* it was paused while the lease began */
bit address[2];          /* the kernel has it */
byte lease[2];           /* the kernel answers so many ticks more */

/* The network: one request and one release under way from a host to a grantor. A
 * request is worth nothing USEFUL ticks after it was sent. The grant is there at
 * once: one that is late, or lost, is a host that does not use it. */
byte request[6], requested[6]; /* ticks, epoch */
byte release[6];               /* epoch that is given up, 0 = none */

byte newest;             /* epoch of the newest holder */
byte campaigns, starts;

/* A host that is out, and does not try again, is never one of two holders: the
 * rest of such a way need not be looked at. */
#define goes_on (campaigns < CAMPAIGNS || does[A] != out && does[B] != out)

#define at(g) (3*h + g)
#define enough ((votes[at(0)] > 0) + (votes[at(1)] > 0) + (votes[at(2)] > 0) >= 2)
#define answers(x) (lease[x] > 0 && address[x])
#define never_two assert(!(answers(A) && answers(B)))

/* A grantor decides about the request of h for epoch e. */
#define grants(g, e) (owner[g] == h && e >= epoch[g] || owner[g] == nobody && e > epoch[g])

inline promise(g, e) {
	owner[g] = h; promised[g] = PROMISED; epoch[g] = e
}

inline ask(g) {
	if
	:: g == h ->
		if
		:: grants(g, mine[h]) -> promise(g, mine[h]); votes[at(g)] = USEFUL
		:: else
		fi
	:: else -> request[at(g)] = USEFUL; requested[at(g)] = mine[h]
	fi
}

inline give_up(g, e) {
	if
	:: owner[g] == h && epoch[g] == e -> owner[g] = nobody; promised[g] = 0
	:: else
	fi
}

inline send_release() {
	if
	:: mine[h] > 0 -> give_up(h, mine[h]); release[at(1-h)] = mine[h]; release[at(W)] = mine[h]
	:: else
	fi
}

inline forget(h) {
	votes[at(0)] = 0; votes[at(1)] = 0; votes[at(2)] = 0; mine[h] = 0; late[h] = 0
}

inline restart_grantor(g) {
	epoch[g] = 0;
#ifdef NO_SITOUT
	owner[g] = nobody; promised[g] = 0
#else
	owner[g] = somebody; promised[g] = PROMISED
#endif
}

inline ask_all() { ask(0); ask(1); ask(2) }

/* The network between host h and grantor g. */
proctype Link(byte h; byte g) provided (goes_on) {
end:	do
	:: atomic { request[at(g)] > 0 && grants(g, requested[at(g)]) ->
		promise(g, requested[at(g)]);
		if
		:: requested[at(g)] == mine[h] && votes[at(g)] < request[at(g)] -> votes[at(g)] = request[at(g)]
		:: else
		fi;
		if
		:: request[at(g)] = 0; requested[at(g)] = 0
		:: true /* it comes again */
		fi
	   }
	:: atomic { release[at(g)] > 0 && owner[g] == h && epoch[g] == release[at(g)] -> give_up(g, release[at(g)]); release[at(g)] = 0 }
	od
}

proctype Host(byte h) provided (goes_on) {
end:	do
	:: atomic { does[h] == out && campaigns < CAMPAIGNS && (campaigns > 0 || h == A) -> /* A is the first: they are alike */
		does[h] = asking; campaigns++; mine[h] = epoch[h] + 1;
		if /* a refusal may have told of a newer one */
		:: epoch[W] >= mine[h] -> mine[h] = epoch[W] + 1
		:: true
		fi;
		ask_all()
	   }
	:: atomic { does[h] == asking || does[h] == held -> ask_all() }

	/* Two votes: it begins the lease, then it adds the address. */
	:: atomic { does[h] == asking && enough ->
#ifdef EPOCHS
		assert(mine[h] > newest); newest = mine[h];
#endif
		does[h] = arming
	   }
	:: atomic { does[h] == asking -> send_release(); forget(h); does[h] = out }
	:: atomic { does[h] == arming ->
		lease[h] = LEASE; never_two;
		if
		:: late[h] -> does[h] = closing
		:: else -> does[h] = opening
		fi
	   }
	:: atomic { does[h] == opening -> address[h] = 1; does[h] = held; never_two }

	/* As long as the votes last it refreshes the lease. */
	:: atomic { does[h] == held && enough -> does[h] = refreshing }
	:: atomic { does[h] == refreshing ->
		if
#ifdef REVIVE
		:: true -> lease[h] = LEASE; never_two; does[h] = held
#else
		:: lease[h] > 0 -> lease[h] = LEASE; does[h] = held
		:: else -> does[h] = closing
#endif
		fi
	   }

	/* The hold ends, by a wish or since the lease is over. */
	:: atomic { does[h] == held || does[h] == opening ->
		does[h] = closing;
#ifdef RELEASE_EARLY
		send_release()
#endif
	   }
	:: atomic { does[h] == closing -> address[h] = 0; lease[h] = 0; send_release(); forget(h); does[h] = out }

	/* The process dies, and starts again. */
	:: atomic { starts < STARTS -> starts++; forget(h); restart_grantor(h); does[h] = closing }
	od
}

/* Somebody else's clock: all timers run at once. */
inline run_down(t) {
	if
	:: t > 0 -> t--
	:: else
	fi
}

inline run_message(t, e) {
	run_down(t);
	if
	:: t == 0 -> e = 0
	:: else
	fi
}

inline run_promise(g) {
	run_down(promised[g]);
	if
	:: promised[g] == 0 -> owner[g] = nobody
	:: else
	fi
}

proctype Clock() provided (goes_on) {
	byte i;
end:	do
	:: d_step {
		i = 0;
		do
		:: i < 6 -> run_down(votes[i]); run_message(request[i], requested[i]); i++
		:: else -> break
		od;
		run_promise(0); run_promise(1); run_promise(2);
		run_down(lease[0]); run_down(lease[1]);
		late[0] = (does[0] == arming); late[1] = (does[1] == arming);
		i = 0
	   }
	od
}

/* The witness does nothing by itself but start again. */
proctype Witness() provided (goes_on) {
end:	if
	:: atomic { starts < STARTS -> starts++; restart_grantor(W) }
	fi
}

init { atomic { run Host(A); run Host(B); run Witness(); run Clock();
	run Link(A, B); run Link(A, W); run Link(B, A); run Link(B, W) } }
