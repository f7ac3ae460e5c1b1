package speaker

import (
	"net/netip"

	"github.com/vipd/vipd/pkg/bgp"
)

// Report is what [Process.Run] tells: one of [Up], [Down], [Session],
// [Announced], [Seen], [Silenced].
type Report interface{ report() }

// Up says that the child runs and was told what there is.
type Up struct {
	PID int
}

// Down says that the child ended. Its sessions and routes are gone, and it is
// started again.
type Down struct {
	Err error // why
}

// Session says that something about a session changed.
type Session struct{ bgp.Session }

// Announced says that the changes of this table are handed to all sessions that
// are established.
type Announced struct {
	Seq   uint64 // as given to [Process.Announce]
	Count int    // routes in the table
}

// Seen says who else announces a prefix of [bgp.Config].Observe, when that
// changed. With a new child it is nobody, until it is said again.
type Seen struct {
	Prefix netip.Prefix
	Others []string // see [bgp.Heard.Announcer], sorted
}

// Silenced says that the child withdrew everything because it heard nothing for
// three heartbeats, or could not read what it was told. It is told everything
// again.
type Silenced struct {
	Why string
}

func (Up) report()        {}
func (Down) report()      {}
func (Session) report()   {}
func (Announced) report() {}
func (Seen) report()      {}
func (Silenced) report()  {}
