package check

// Exec runs a program; exit code 0 is good.
type Exec struct {
	Command []string // argv, no shell
	User    string   // runs as this user, "" = the configured script user
}

// Type implements [Spec].
func (Exec) Type() string { return "exec" }
