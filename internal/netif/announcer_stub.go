package netif
import ("context";"log/slog";"net/netip";"time")
type Announcement struct { Owner, Link string; Addresses []netip.Addr; Repeat int; Interval time.Duration; Cause string }
type Announcer struct{}
func NewAnnouncer(*slog.Logger) *Announcer { return nil }
func (a *Announcer) Announce(Announcement) {}
func (a *Announcer) Cancel(string) {}
func (a *Announcer) Run(ctx context.Context) error { <-ctx.Done(); return nil }
