package check

// File watches a file.
type File struct {
	Path   string
	Absent bool // good while the file does not exist, instead of while it does
	Value  bool // good while the file holds a whole number, which is the weight: -253 to 253
}

// Type implements [Spec].
func (File) Type() string { return "file" }

// Watched implements [Watcher].
func (File) Watched() {}
