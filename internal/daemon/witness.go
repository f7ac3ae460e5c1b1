package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	sd "github.com/coreos/go-systemd/v22/daemon"
	"golang.org/x/sync/errgroup"

	"github.com/vipd/vipd/internal/witness"
	"github.com/vipd/vipd/pkg/config"
	"github.com/vipd/vipd/pkg/config/disk"
)

// Room of a witness: some thousand pairs with some VIPs each take about 100 MB.
const (
	witnessHosts = 20_000
	witnessVotes = 200_000
)

// WitnessOptions is what vipd witness is told by its flags.
type WitnessOptions struct {
	Listen  string        // IP address and port, or :port
	KeyFile string        // as pair.key_file
	Name    string        // "" = hosts may call it what they like
	Metrics string        // where to serve metrics: IP address and port, or :port; "" = nowhere
	MaxTTL  time.Duration // longest promise, and how long it sits out: more than 0
	Log     *slog.Logger
}

// Witness votes for hosts until ctx ends, and then returns nil. It needs no
// configuration file, and shares nothing with a Daemon.
func Witness(ctx context.Context, opts WitnessOptions) error {
	listen, err := config.ParseListen(opts.Listen)
	if err != nil {
		return fmt.Errorf("listen on %q: it %w", opts.Listen, err)
	}
	text, err := disk.Reader{}.Secret(opts.KeyFile)
	if err != nil {
		return err
	}
	key, err := config.ParseKey(opts.KeyFile, text)
	if err != nil {
		return fmt.Errorf("read key: %w", err)
	}
	s, err := witness.Listen(witness.ServerConfig{
		Listen: listen, Key: []byte(key), Name: opts.Name, MaxTTL: opts.MaxTTL, Votes: witnessVotes, Hosts: witnessHosts,
	}, opts.Log)
	if err != nil {
		return err
	}
	work, ctx := errgroup.WithContext(ctx)
	if opts.Metrics != "" {
		page, err := net.Listen("tcp", opts.Metrics)
		if err != nil {
			return errors.Join(fmt.Errorf("serve metrics: %w", err), s.Close())
		}
		work.Go(func() error { return servePage(ctx, page, witness.Metrics(s)) })
	}
	work.Go(func() error { return s.Run(ctx) })
	opts.Log.Info("witness", "address", s.Address(), "name", opts.Name, "max_ttl", opts.MaxTTL)
	if _, err := sd.SdNotify(false, sd.SdNotifyReady); err != nil {
		opts.Log.Warn("notify systemd", "error", err)
	}
	return errors.Join(work.Wait(), s.Close())
}

// servePage serves one page until ctx ends.
func servePage(ctx context.Context, at net.Listener, page http.Handler) error {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", page)
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second, WriteTimeout: 10 * time.Second, IdleTimeout: time.Minute}
	stop := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stop()
	if err := server.Serve(at); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve metrics: %w", err)
	}
	return nil
}
