package testenv

import (
	"errors"
	"fmt"
	"os"
	"slices"

	"golang.org/x/sys/unix"
)

// PrivateTemp gives the process and its children a directory for temporary
// files that nobody else sees and that ends with them, even with SIGKILL: a
// file system in memory, mounted over one of the usual places in the mount
// namespace that [Isolate] made, and named by TMPDIR from then on. What was in
// that place cannot be seen any more, except through descriptors and /proc. It
// is an error outside such a namespace.
func PrivateTemp() error {
	if !Isolated() {
		return errors.New("make a directory for temporary files: not in a mount namespace of its own")
	}
	var errs []error
	// The shortest come first: the path of a unix socket has at most 107 bytes.
	for _, dir := range slices.Compact([]string{"/tmp", "/run", "/mnt", os.TempDir()}) {
		err := unix.Mount("tmpfs", dir, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "mode=0700")
		if err == nil {
			return os.Setenv("TMPDIR", dir)
		}
		errs = append(errs, fmt.Errorf("mount a file system in memory on %s: %w", dir, err))
	}
	return errors.Join(errs...)
}
