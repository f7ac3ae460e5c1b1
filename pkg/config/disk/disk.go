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

// Program returns the first part of a program's path, as written and with its
// links followed, that anybody may write to, and why it cannot be run. In a
// sticky directory such as /tmp nobody can replace what is another's.
func (Reader) Program(name string) (writable string, err error) {
	real, err := filepath.EvalSymlinks(name)
	if err != nil {
		return "", err
	}
	for _, path := range []string{name, real} {
		for ; ; path = filepath.Dir(path) {
			info, err := os.Stat(path)
			if err != nil {
				return "", err
			}
			if info.Mode().Perm()&0o002 != 0 && info.Mode()&os.ModeSticky == 0 {
				return path, nil
			}
			if path == filepath.Dir(path) {
				break
			}
		}
	}
	switch info, err := os.Stat(real); {
	case err != nil:
		return "", err
	case !info.Mode().IsRegular() || info.Mode()&0o111 == 0:
		return "", errors.New("not executable")
	}
	return "", nil
}

// Glob returns the names of the files that match a pattern.
func (Reader) Glob(pattern string) ([]string, error) { return filepath.Glob(pattern) }
