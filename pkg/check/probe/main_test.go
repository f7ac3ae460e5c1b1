package probe

import (
	"log/slog"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/vipd/vipd/pkg/check"
	"github.com/vipd/vipd/testenv"
)

// TestMain is also the entry of three programs that tests start.
func TestMain(m *testing.M) {
	switch mark := os.Getenv("VIPD_TEST_PARENT"); {
	case mark != "":
		parentToBeKilled(mark)
	case os.Getenv("VIPD_TEST_CAPABLE") != "":
		parentWithCapabilities()
	case os.Getenv("VIPD_TEST_FAVOURED") != "":
		favouredParent()
	default:
		os.Exit(testenv.Main(m))
	}
}

const ms = time.Millisecond

// script writes an executable file. Without the lock a test that forks at that
// moment would keep it open for writing, and nobody could run it.
func script(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "check.sh")
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

func config(spec check.Spec, timeout time.Duration) check.Config {
	return check.Config{Spec: spec, Interval: timeout, Timeout: timeout, Rise: 1, Fall: 1}
}

// logger writes to the log of the test.
func logger(t *testing.T) *slog.Logger { return slog.New(slog.NewTextHandler(t.Output(), nil)) }
