package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// childOf finds the child of a process whose command line has the word.
func childOf(parent int, word string) (int, error) {
	for _, pid := range family(parent)[1:] {
		line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		if err == nil && slices.Contains(strings.Split(string(line), "\x00"), word) {
			return pid, nil
		}
	}
	return 0, fmt.Errorf("find %q among the children of %d: there is none", word, parent)
}

// family lists processes with all who descend from them.
func family(first ...int) []int {
	all := slices.Clone(first)
	parent := parents()
	for before := 0; before != len(all); {
		before = len(all)
		for pid, of := range parent {
			if slices.Contains(all, of) && !slices.Contains(all, pid) {
				all = append(all, pid)
			}
		}
	}
	return all
}

// parents tells of which process each process is the child.
func parents() map[int]int {
	of := map[int]int{}
	dirs, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return nil // the pattern is good
	}
	for _, dir := range dirs {
		text, err := os.ReadFile(filepath.Join(dir, "stat"))
		if err != nil {
			continue // it has ended
		}
		_, rest, _ := strings.Cut(string(text), ") ") // after the name: state, parent
		fields := strings.Fields(rest)
		pid, err1 := strconv.Atoi(filepath.Base(dir))
		ppid, err2 := strconv.Atoi(fields[1])
		if err1 == nil && err2 == nil {
			of[pid] = ppid
		}
	}
	return of
}

// peak is the most memory that processes ever had in RAM, in MiB; the sum of what
// each of them had.
func peak(pids []int) float64 {
	sum := 0.0
	for _, pid := range pids {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		if err != nil {
			continue // it has ended: a program of a check
		}
		sum += kibibytes(string(text), "VmHWM:") / 1024
	}
	return sum
}
