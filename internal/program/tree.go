package program

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// maxPasses bounds the search for processes that are started while it goes on.
const maxPasses = 10

// killTree kills a child of ours that has not been reaped, its process group and
// all who descend from it, also those with a group or a session of their own.
// What is found is stopped first, so that it can neither end, which would cut off
// its children, nor start more. Who is out of reach: a process whose parent had
// ended before, as a daemon's has, if it also left the group.
func killTree(leader int) {
	_ = unix.Kill(-leader, unix.SIGSTOP)
	found := []int{leader}
	for range maxPasses {
		known := len(found)
		for i := 0; i < len(found); i++ {
			for _, child := range children(found[i]) {
				if !slices.Contains(found, child) {
					_ = unix.Kill(child, unix.SIGSTOP)
					found = append(found, child)
				}
			}
		}
		if len(found) == known {
			break
		}
	}
	// Children first: as long as a stopped parent is there, nobody reaps them, and
	// their numbers are theirs.
	for _, pid := range slices.Backward(found) {
		_ = unix.Kill(pid, unix.SIGKILL)
	}
}

// children lists the children of a process. The kernel tells if it was built with
// CONFIG_PROC_CHILDREN, as those of distributions are; else there are none.
func children(pid int) (pids []int) {
	paths, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	if err != nil {
		return nil // the pattern is good
	}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			continue // the thread has ended
		}
		for _, word := range strings.Fields(string(text)) {
			if child, err := strconv.Atoi(word); err == nil {
				pids = append(pids, child)
			}
		}
	}
	return pids
}
