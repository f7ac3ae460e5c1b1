package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// usage is what processes have used so far.
type usage struct {
	cpu      time.Duration
	rss, pss float64 // MiB; pss is 0 where the kernel does not tell
}

// used adds up what the process groups have used.
func used(groups []int) (usage, error) {
	var sum usage
	dirs, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return sum, err
	}
	for _, dir := range dirs {
		if !inGroup(dir, groups) {
			continue
		}
		if err := sum.add(dir); err != nil {
			return sum, fmt.Errorf("read %s: %w", dir, err)
		}
	}
	return sum, nil
}

// inGroup reports whether the process belongs to one of the process groups. One
// that has just ended does not.
func inGroup(dir string, groups []int) bool {
	text, err := os.ReadFile(filepath.Join(dir, "stat"))
	if err != nil {
		return false
	}
	_, rest, _ := strings.Cut(string(text), ") ") // after the name: state, parent, group
	fields := strings.Fields(rest)
	if len(fields) < 3 {
		return false
	}
	for _, g := range groups {
		if fields[2] == strconv.Itoa(g) {
			return true
		}
	}
	return false
}

// add adds one process: the scheduler's time of each of its threads, which is
// exact where utime and stime are counted in ticks, and its memory.
func (u *usage) add(dir string) error {
	threads, err := filepath.Glob(dir + "/task/*/schedstat")
	if err != nil {
		return err
	}
	for _, t := range threads {
		text, err := os.ReadFile(t)
		if err != nil {
			continue // the thread has ended
		}
		ran, _, _ := strings.Cut(string(text), " ")
		ns, err := strconv.ParseInt(ran, 10, 64)
		if err != nil {
			return err
		}
		u.cpu += time.Duration(ns)
	}
	text, err := os.ReadFile(dir + "/smaps_rollup")
	if err != nil {
		return err
	}
	u.rss += kibibytes(string(text), "Rss:") / 1024
	u.pss += kibibytes(string(text), "Pss:") / 1024
	return nil
}

// kibibytes reads a line such as "Rss:  13520 kB".
func kibibytes(text, key string) float64 {
	for line := range strings.Lines(text) {
		if f := strings.Fields(line); len(f) >= 2 && f[0] == key {
			n, _ := strconv.ParseFloat(f[1], 64)
			return n
		}
	}
	return 0
}
