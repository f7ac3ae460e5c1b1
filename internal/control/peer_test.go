package control_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/vipd/vipd/internal/control"
)

// callerSocket tells a copy of the test program to call this socket.
const callerSocket = "VIPD_TEST_CALL"

// TestGroupsOfCaller lets a process in that has the admin group as one of its
// supplementary groups, be it the last of many, and keeps others out.
func TestGroupsOfCaller(t *testing.T) {
	t.Parallel()
	if socket := os.Getenv(callerSocket); socket != "" {
		call(socket)
	}
	if os.Geteuid() != 0 {
		t.Skip("needs root, to call as somebody else")
	}
	dir := t.TempDir()
	for _, d := range []string{dir, filepath.Dir(dir)} {
		if err := os.Chmod(d, 0o711); err != nil { // let others through
			t.Fatal(err)
		}
	}
	socket := filepath.Join(dir, "s")
	srv := control.New(pair(), control.Options{Socket: socket, AdminGroup: "4242"})
	if err := srv.Listen(); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(socket, 0, 4004); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- srv.Run(ctx) }()
	defer func() { cancel(); <-ended }()

	many := make([]uint32, 0, 101)
	for i := range uint32(100) {
		many = append(many, 4100+i)
	}
	const (
		yes  = "done"
		no   = "not permitted: uid 4004 may look, but not change things: that takes membership of group 4242"
		shut = "not permitted: you may not open "
	)
	for name, c := range map[string]struct {
		gid    uint32
		groups []uint32
		want   string
	}{
		"no group":         {4004, nil, no},
		"primary group":    {4242, []uint32{4004}, yes},
		"second group":     {4004, []uint32{4242}, yes},
		"last of many":     {4004, append(many, 4242), yes},
		"many others":      {4004, many, no},
		"not even to read": {4005, nil, shut + socket},
	} {
		cmd := exec.Command("/proc/self/exe", "-test.run=^TestGroupsOfCaller$")
		cmd.Env = append(os.Environ(), callerSocket+"="+socket)
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 4004, Gid: c.gid, Groups: c.groups}}
		out, err := cmd.Output()
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if string(out) != c.want {
			t.Errorf("%s: %q, want %q", name, out, c.want)
		}
	}
}

// call asks for a change, prints what came of it, and ends the process.
func call(socket string) {
	_, err := control.Client{Socket: socket}.Undrain(context.Background(), nil)
	if err != nil {
		fmt.Print(err)
	} else {
		fmt.Print("done")
	}
	os.Exit(0)
}
