/*
 * fence.pml: fences leave one host, and nobody takes what may still be held.
 *
 * Two hosts hold two VIPs between them. One thing goes wrong: the link between
 * them is cut, or one is isolated, hangs (its addresses answer on), or loses
 * power. Who misses the other fences it before it takes its VIPs: a shot is
 * asked of a device, the agent ends well, the power goes some time later, and the
 * device is read until it says so (pkg/fence). Fenced hosts start again at any
 * time, hung ones go on, VIPs are released, and links come and go.
 *
 *   - No VIP is held by two hosts that have power.
 *   - The fences never leave both hosts off, and who was fenced does not shoot back.
 *   - The host that is isolated is not the one that survives.
 *
 * Time is in it only as turns: a shot, with its effect, begins and ends within a
 * turn of the host that shoots (turn.go).
 *
 * Mutants, each of which must fail:
 *   UNVERIFIED  the end of the agent is the proof, the device is not read
 *   NO_DELAY    a host does not wait for its turn
 *   BLIND       a host that has not heard the other since it started shoots too
 *   ISOLATED    the isolated host shoots too
 *   STALE       a proof stays one after the other host has started again
 */

#ifndef FAULTS
#define FAULTS 1
#endif

bit on[2] = 1;        /* it has power */
bit hung[2];          /* it does nothing, and its addresses answer */
bit isolated[2];      /* it reaches nobody; its gateway check says so */
bit flaps, cut;       /* the link between the two goes down and up; it is down */
bit heard[2];         /* it has heard the other one since it started */
bit holds[4];         /* holds[2*host + VIP] */
bit proof[2];         /* the other one is known to be off */
mtype = { no, asked, ended };
mtype agent[2] = no;  /* of the shot of this host: it runs, or has ended well */
bit shot[2];          /* the device of the other host has it, and will do it */
bit turn;             /* whose it is */
bit fenced[2];        /* and it has not heard the other one since */
byte faults, starts;

#define peer (1 - me)
#define acts (on[me] && !hung[me])
#define hears (!cut && !isolated[0] && !isolated[1] && on[peer] && !hung[peer])
#define wants (!holds[2*me] || !holds[2*me+1])

#ifdef NO_DELAY
#define my_turn true
#else
#define my_turn (turn == me)
#endif
#ifdef BLIND
#define not_blind true
#else
#define not_blind heard[me]
#endif
#ifdef ISOLATED
#define not_isolated true
#else
#define not_isolated (!isolated[me])
#endif
#ifdef UNVERIFIED
#define reads_off true
#else
#define reads_off (!on[peer])
#endif

inline ends(h) { holds[2*h] = 0; holds[2*h+1] = 0; heard[h] = 0; proof[h] = 0; agent[h] = no; hung[h] = 0 }

inline take(v) {
	holds[2*me+v] = 1;
	assert(!(on[peer] && holds[2*peer+v]))
}

proctype Host(bit me) {
end:	do
	:: atomic { acts && hears -> heard[me] = 1; fenced[me] = 0; proof[me] = 0; agent[me] = no }

	/* While they talk, a VIP that nobody holds goes to one of them (vacancy.pml),
	 * and one that is held may be given away. */
	:: atomic { acts && hears && heard[0] && heard[1] && !holds[0] && !holds[2] -> take(0) }
	:: atomic { acts && hears && heard[0] && heard[1] && !holds[1] && !holds[3] -> take(1) }
	:: atomic { acts && hears && holds[2*me] -> holds[2*me] = 0 }

	/* The other one is silent. */
	:: atomic { acts && !hears && not_blind && not_isolated && wants && !proof[me] && agent[me] == no && my_turn ->
		agent[me] = asked; shot[me] = 1 }
	:: atomic { acts && agent[me] == asked -> agent[me] = ended }
	:: atomic { acts && agent[me] == ended && !hears && reads_off -> agent[me] = no; proof[me] = 1 }
	:: atomic { acts && proof[me] && !hears && not_isolated && !holds[2*me] -> take(0) }
	:: atomic { acts && proof[me] && !hears && not_isolated && !holds[2*me+1] -> take(1) }

	/* The device of this host does what the other one has asked for. */
	:: atomic { shot[peer] ->
		shot[peer] = 0;
		if
		:: on[me] -> on[me] = 0; ends(me); fenced[me] = 1
		:: else
		fi;
		assert(on[0] || on[1]);
		assert(!fenced[peer]);
		assert(!isolated[peer])
	   }

	/* It gets power again. What is known of its being off is over by then. */
	:: atomic { !on[me] && starts < 2 ->
		on[me] = 1; starts++;
#ifndef STALE
		proof[peer] = 0;
		if
		:: agent[peer] == ended -> agent[peer] = no
		:: else
		fi
#endif
	   }
	:: atomic { hung[me] -> hung[me] = 0 }

	/* Faults. */
	:: atomic { faults < FAULTS && on[me] -> faults++; on[me] = 0; ends(me) }
	:: atomic { faults < FAULTS && acts -> faults++; hung[me] = 1 }
	:: atomic { faults < FAULTS -> faults++; isolated[me] = 1 }
	:: atomic { faults < FAULTS && !flaps -> faults++; flaps = 1 }
	:: atomic { flaps -> cut = 1 - cut }
	:: atomic { isolated[me] -> isolated[me] = 0 }

	/* A turn ends when no shot of it is under way. */
	:: atomic { turn == me && !shot[me] && agent[me] == no -> turn = peer }
	:: atomic { turn == me && !shot[me] && !acts -> turn = peer }
	od
}

init {
	atomic {
		heard[0] = 1; heard[1] = 1; holds[0] = 1;
		if /* one host has both, or each has one */
		:: holds[1] = 1
		:: holds[3] = 1
		fi;
		if
		:: turn = 0
		:: turn = 1
		fi;
		run Host(0); run Host(1)
	}
}
