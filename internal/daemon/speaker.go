package daemon

import (
	"context"
	"io"
	"log/slog"

	"github.com/vipd/vipd/pkg/bgp/speaker"
)

// Speak is the process that the daemon starts for BGP: see [speaker.Serve].
func Speak(ctx context.Context, in io.Reader, out io.Writer, log *slog.Logger) error {
	return speaker.Serve(ctx, in, out, log)
}
