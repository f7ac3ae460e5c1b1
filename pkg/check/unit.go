package check

// Unit watches a unit of systemd: good while it is active.
type Unit struct {
	Name     string // with its suffix: haproxy.service
	SubState string // that it must be in as well, such as running; "" = any
}

// Type implements [Spec].
func (Unit) Type() string { return "unit" }

// Watched implements [Watcher].
func (Unit) Watched() {}
