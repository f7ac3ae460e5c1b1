package hook

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// Settings are the same for all hooks.
type Settings struct {
	Node string // name of this host
	User string // runs the programs, by name or number; "" = ourselves
}

// Hooks are what is told of one VIP or sync group.
type Hooks struct {
	Notify   []string      // program and arguments, run after each change; none = no program
	Timeout  time.Duration // it is ended after this, more than 0
	Coalesce bool          // of the changes that wait, only the newest is told
	FIFO     string        // gets a line for each change; "" = none

	BeforeHold []string // program and arguments, run before the addresses are opened
}

// Subject is a VIP or a sync group.
type Subject struct {
	Group bool
	Name  string
}

// Change is what a hook is told.
type Change struct {
	Subject
	State    string // INIT, FAULT, BACKUP, ACTIVE
	From     string // the one before
	Reason   string
	Priority uint8 // 0 of a group

	Interface string // "" of a group, like VRID 0
	VRID      uint8
	Addresses []netip.Prefix
	Peer      netip.Addr // invalid when none was heard
	SyncGroup string

	ID    uint64 // of the event that caused it
	Time  time.Time
	Event any // that event: its JSON is the program's standard input
}

// words are keepalived's for the states.
var words = map[string]string{"ACTIVE": "MASTER", "BACKUP": "BACKUP", "FAULT": "FAULT", "INIT": "STOP"}

// kind is keepalived's word for what changed.
func (c Change) kind() string {
	if c.Group {
		return "GROUP"
	}
	return "INSTANCE"
}

// arguments are appended to those that are configured.
func (c Change) arguments() []string {
	return []string{c.kind(), c.Name, words[c.State], strconv.Itoa(int(c.Priority))}
}

// line is what a FIFO gets.
func (c Change) line() string {
	return fmt.Sprintf("%s %q %s %d\n", c.kind(), c.Name, words[c.State], c.Priority)
}

// environment is what a program finds in VIPD_ variables. All are there, also
// those that are empty.
func (c Change) environment(s Settings) []string {
	vrid, peer := "", ""
	if c.VRID != 0 {
		vrid = strconv.Itoa(int(c.VRID))
	}
	if c.Peer.IsValid() {
		peer = c.Peer.String()
	}
	addresses := make([]string, len(c.Addresses))
	for i, a := range c.Addresses {
		addresses[i] = a.String()
	}
	return []string{
		"VIPD_EVENT_ID=" + strconv.FormatUint(c.ID, 10),
		"VIPD_TYPE=" + c.kind(),
		"VIPD_NAME=" + c.Name,
		"VIPD_STATE=" + c.State,
		"VIPD_PREV_STATE=" + c.From,
		"VIPD_REASON=" + c.Reason,
		"VIPD_PRIORITY=" + strconv.Itoa(int(c.Priority)),
		"VIPD_INTERFACE=" + c.Interface,
		"VIPD_VRID=" + vrid,
		"VIPD_ADDRESSES=" + strings.Join(addresses, " "),
		"VIPD_PEER=" + peer,
		"VIPD_NODE=" + s.Node,
		"VIPD_SYNC_GROUP=" + c.SyncGroup,
		"VIPD_TIME=" + c.Time.Format("2006-01-02T15:04:05.000Z07:00"),
	}
}

// input is what a program can read.
func (c Change) input() []byte {
	text, err := json.Marshal(c.Event)
	if err != nil {
		return nil // no event of ours has what JSON has not
	}
	return append(text, '\n')
}

// Result is the end of a hook in one word.
type Result string

// The results.
const (
	OK        Result = "ok"
	Failed    Result = "failed"    // not started, another exit code than 0, a signal; a FIFO that is none
	Timeout   Result = "timeout"   // ended after its timeout
	Stopped   Result = "stopped"   // killed since nobody waits for it any more
	Dropped   Result = "dropped"   // not told: too many newer changes wait, or nobody reads the FIFO
	Coalesced Result = "coalesced" // not told: a newer change took its place
)

// Kind is a kind of hook: a label of the metrics.
type Kind string

// The kinds.
const (
	Notify     Kind = "notify"
	BeforeHold Kind = "before_hold"
	FIFO       Kind = "fifo"
)

// Done says how a [Runner.Notify] or [Runner.Before] ended.
type Done struct {
	Kind   Kind // Notify or BeforeHold
	Change Change
	Seq    uint64 // of the Before
	Result Result // "" of a Notify for which there is no program to run
	Detail string // one line for a human
	Took   time.Duration
}
