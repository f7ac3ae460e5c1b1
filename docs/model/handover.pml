/*
 * handover.pml: a planned move overlaps, and only as long as was agreed.
 *
 * The old holder leaves and offers the VIP; the new one opens and says that it
 * holds it; the old one lets go, then or when the offer is over
 * (pkg/engine/handover.go). For a moment both hold it. Any message may be lost,
 * late, or come again, and either host may stop at any moment, also between what
 * it decides and what it does, for a while or for ever: what it holds then ends
 * with its kernel lease.
 *
 * Time is counted in ticks. A host that runs takes a step in each of them.
 *
 *   - Two hold the VIP only while the offer stands, or while the lease of an old
 *     holder that stopped has not ended yet.
 *   - An old holder that runs has let go when the offer is over. One that does not
 *     run answers no more two leases later.
 *
 * Mutants, each of which must fail:
 *   NO_DEADLINE  the old one waits for the word of the new one, however long
 *   REVIVE       a late refresh revives a lease that is over
 */

#define OVERLAP 4
#define LEASE 2

#define OLD 0
#define NEW 1

bit address[2];        /* the kernel has it */
byte lease[2];         /* the kernel answers so many ticks more */
bit over;              /* the lease of OLD has ended since the offer began */
mtype = { nothing, refresh, begin, close };
mtype todo[2] = nothing; /* decided, and not done yet */
bit stepped[2];        /* in this tick */
bit runs[2] = 1;       /* takes its steps in time */

byte stands;           /* the offer stands for so many ticks more */
byte since;            /* ticks since it began */
bit holds[2];          /* as the process has it */
bit told;              /* OLD has heard that NEW holds it */

/* The pair channel: the state that is under way. It may stay there, or be
 * replaced by a newer one that says the same. */
bit offer, word;

#define answers(x) (address[x] && lease[x] > 0)
#define LAST (OVERLAP + 2*LEASE + 2)

/* What a host does about what it has decided. */
inline carry_out(h) {
	if
	:: todo[h] == refresh ->
		if
#ifdef REVIVE
		:: true -> lease[h] = LEASE
#else
		:: lease[h] > 0 -> lease[h] = LEASE
		:: else -> holds[h] = 0; address[h] = 0
#endif
		fi
	:: todo[h] == begin -> lease[h] = LEASE; address[h] = 1
	:: todo[h] == close -> address[h] = 0; lease[h] = 0
	:: else
	fi;
	todo[h] = nothing;
	assert(!over || !answers(OLD)) /* what has ended stays so */
}

inline expired(h) {
	if
	:: holds[h] && lease[h] == 0 && address[h] -> holds[h] = 0; todo[h] = close /* it finds that it slept */
	:: else
	fi
}

#ifdef NO_DEADLINE
#define ends false
#else
#define ends (stands == 0)
#endif

proctype Old() {
end:	do
	:: atomic { runs[OLD] && !stepped[OLD] && todo[OLD] == nothing ->
		stepped[OLD] = 1;
		if /* the word of NEW has come, or not */
		:: word -> told = 1
		:: true
		fi;
		expired(OLD);
		if
		:: holds[OLD] && since > 0 && (told || ends) -> holds[OLD] = 0; todo[OLD] = close; stands = 0
		:: else ->
			if
			:: holds[OLD] -> todo[OLD] = refresh
			:: holds[OLD] && since == 0 -> todo[OLD] = refresh; since = 1; stands = OVERLAP; offer = 1 /* a drain, or somebody's wish */
			:: !holds[OLD]
			fi
		fi
	   }
	:: atomic { todo[OLD] != nothing -> carry_out(OLD) }
	od
}

proctype New() {
end:	do
	:: atomic { runs[NEW] && !stepped[NEW] && todo[NEW] == nothing ->
		stepped[NEW] = 1;
		expired(NEW);
		if
		:: !holds[NEW] && offer && todo[NEW] == nothing -> holds[NEW] = 1; todo[NEW] = begin; offer = 0
		:: holds[NEW] && todo[NEW] == nothing -> todo[NEW] = refresh; word = 1
		:: !holds[NEW] && todo[NEW] == nothing
		:: todo[NEW] != nothing
		fi
	   }
	:: atomic { todo[NEW] != nothing -> carry_out(NEW) }
	od
}

/* A host stops, between any two things it does, and may go on. */
proctype Faults() {
	byte stops;
end:	do
	:: atomic { stops < 2 && runs[OLD] -> runs[OLD] = 0; stops++ }
	:: atomic { stops < 2 && runs[NEW] -> runs[NEW] = 0; stops++ }
	:: atomic { !runs[OLD] -> runs[OLD] = 1 }
	:: atomic { !runs[NEW] -> runs[NEW] = 1 }
	od
}

/* A tick: those who run have done what they had to do in the last one. */
#define done(x) (!runs[x] || stepped[x] && todo[x] == nothing)

inline run_down(t) {
	if
	:: t > 0 -> t--
	:: else
	fi
}

proctype Clock() {
end:	do
	:: atomic { done(OLD) && done(NEW) && since < LAST ->
		assert(!(answers(OLD) && answers(NEW)) || stands > 0 || !runs[OLD] && !over);
		run_down(lease[OLD]); run_down(lease[NEW]); run_down(stands);
		over = over || since > 0 && lease[OLD] == 0;
		if
		:: since > 0 -> since++
		:: else
		fi;
		/* It took its step after the end of the offer, or it sleeps. */
		assert(since <= OVERLAP + 2 || !runs[OLD] || !stepped[OLD] || !answers(OLD));
		assert(since <= OVERLAP + 2*LEASE + 1 || !answers(OLD));
		stepped[OLD] = 0; stepped[NEW] = 0
	   }
	od
}

init {
	atomic {
		address[OLD] = 1; lease[OLD] = LEASE; holds[OLD] = 1;
		run Old(); run New(); run Faults(); run Clock()
	}
}
