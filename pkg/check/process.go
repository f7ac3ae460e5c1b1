package check

// Process watches processes. Which ones is said by PIDFile, Unit, or Name alone.
type Process struct {
	PIDFile string // holds the number of the process
	Unit    string // systemd's name of the unit whose main process it is
	Name    string // of the program: its comm, or the last part of its argv[0]
	Owner   string // a user, by name or number; "" = anybody
	AtLeast int    // processes of that name and owner that must run; 0 counts as 1

	// Sockets that must be open besides, on any address or on that one: ":443",
	// "192.0.2.1:443", "[2001:db8::1]:443"; "" = none. It does not matter whose.
	Listen    string // for TCP
	ListenUDP string
}

// Type implements [Spec].
func (Process) Type() string { return "process" }

// Watched implements [Watcher].
func (Process) Watched() {}
