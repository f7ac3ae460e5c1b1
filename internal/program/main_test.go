package program

import (
	"os"
	"testing"

	"github.com/vipd/vipd/testenv"
)

func TestMain(m *testing.M) { os.Exit(testenv.Main(m)) }
