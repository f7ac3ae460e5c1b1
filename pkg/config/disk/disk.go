package disk

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
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

// credentials is where systemd is told to look, and where a command finds them
// that systemd did not start.
const credentials = "/etc/vipd/credentials"

// maxSecret is far more than any secret has, in bytes.
const maxSecret = 4096

// Secret returns what a file holds, without the end of the last line: an absolute
// path, or a bare name in $CREDENTIALS_DIRECTORY, and in /etc/vipd/credentials
// where that is not set. A file that anybody may read is no secret.
func (r Reader) Secret(name string) (string, error) {
	if !filepath.IsAbs(name) {
		name = credential(name)
	}
	f, err := r.Open(name)
	if err != nil {
		return "", fmt.Errorf("read secret %s: %w", name, bare(err))
	}
	text, err := readSecret(f.(*os.File))
	if err = errors.Join(err, f.Close()); err != nil {
		return "", fmt.Errorf("read secret %s: %w", name, bare(err))
	}
	return text, nil
}

// credential is the file of a credential. Our unit has systemd load the files of
// /etc/vipd/credentials, which then are vipd_NAME; a credential of just that name
// comes first.
func credential(name string) string {
	dir := os.Getenv("CREDENTIALS_DIRECTORY")
	if dir == "" {
		return filepath.Join(credentials, name)
	}
	loaded := filepath.Join(dir, "vipd_"+name)
	if _, err := os.Stat(filepath.Join(dir, name)); errors.Is(err, fs.ErrNotExist) {
		if _, err := os.Stat(loaded); err == nil {
			return loaded
		}
	}
	return filepath.Join(dir, name)
}

func readSecret(f *os.File) (string, error) {
	info, err := f.Stat()
	if err != nil {
		return "", err
	}
	if mode := info.Mode().Perm(); mode&0o007 != 0 {
		return "", fmt.Errorf("mode %04o lets everybody use it: chmod o= it", mode)
	}
	text, err := io.ReadAll(io.LimitReader(f, maxSecret+1))
	if err == nil && len(text) > maxSecret {
		err = fmt.Errorf("longer than %d bytes", maxSecret)
	}
	if err != nil {
		return "", err
	}
	return strings.TrimRight(string(text), "\r\n"), nil
}

// bare takes the operation and the name off an error: the text has them already.
func bare(err error) error {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return e.Err
	}
	return err
}
