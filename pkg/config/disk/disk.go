package disk

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"syscall"

	"github.com/vipd/vipd/pkg/config"
)

// Reader reads files by their name in the file system; relative names start at
// the working directory. It implements [config.Reader].
type Reader struct{}

// Load reads and checks a configuration file, see [config.Load].
func Load(name string) (*config.Config, *config.Problems) {
	return config.Load(Reader{}, name)
}

// Open opens a regular file.
func (Reader) Open(name string) (io.ReadCloser, error) {
	f, err := os.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = errors.New("not a regular file")
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// Glob returns the names of the files that match a pattern.
func (Reader) Glob(pattern string) ([]string, error) { return filepath.Glob(pattern) }
