package main

import "testing"

// TestSize reads and prints sizes.
func TestSize(t *testing.T) {
	t.Parallel()
	var n int64
	s := size{&n}
	for text, want := range map[string]int64{"1": 1, "1000": 1000, "512K": 512 << 10, "64M": 64 << 20, "3G": 3 << 30} {
		if err := s.Set(text); err != nil || n != want || s.String() != text {
			t.Errorf("%s: %d, prints %s, %v", text, n, &s, err)
		}
	}
	for _, text := range []string{"", "0", "-1", "K", "1.5M", "64 M", "64MB", "9999999999G", "1e3"} {
		if err := s.Set(text); err == nil {
			t.Errorf("%q is %d", text, n)
		}
	}
}
