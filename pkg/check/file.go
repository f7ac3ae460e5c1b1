package check

// File looks at a file.
type File struct {
	Path   string
	Absent bool // good while the file does not exist, instead of while it does
}

// Type implements [Spec].
func (File) Type() string { return "file" }
