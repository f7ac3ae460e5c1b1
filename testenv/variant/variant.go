// Package variant makes other versions of the product for tests: texts in its files are
// replaced while it is compiled (-overlay), so the product has no hooks for it. Mutants
// are variants that are known to be bad, and another release of vipd is one as well.
package variant

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Edit replaces a text that is in a file exactly once.
type Edit struct {
	File     string // below the module's root
	Old, New string
}

// Overlay writes the edited files of the module at root into dir, and returns the path
// of what tells the compiler: go build -overlay=path. Edits of one file come one after
// the other. A text that is not there exactly once is an error.
func Overlay(root, dir string, edits []Edit) (path string, err error) {
	if root, err = filepath.Abs(root); err != nil {
		return "", err
	}
	files := map[string]string{}
	for i, e := range edits {
		original := filepath.Join(root, e.File)
		from := original
		if files[original] != "" {
			from = files[original] // as an edit before has left it
		}
		text, err := os.ReadFile(from)
		if err != nil {
			return "", err
		}
		if n := strings.Count(string(text), e.Old); n != 1 {
			return "", fmt.Errorf("%s has this %d times, not once:\n%s", e.File, n, e.Old)
		}
		if files[original] == "" {
			files[original] = filepath.Join(dir, fmt.Sprintf("%d-%s", i, filepath.Base(original)))
		}
		if err := os.WriteFile(files[original], []byte(strings.Replace(string(text), e.Old, e.New, 1)), 0o600); err != nil {
			return "", err
		}
	}
	text, err := json.Marshal(map[string]any{"Replace": files})
	if err != nil {
		return "", err
	}
	path = filepath.Join(dir, "overlay.json")
	return path, os.WriteFile(path, text, 0o600)
}
