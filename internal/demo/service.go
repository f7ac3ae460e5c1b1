package demo

import (
	"errors"
	"fmt"
	"net"
	"sync"

	"github.com/vipd/vipd/testenv"
)

// service is what the address is for: it answers probes over UDP, and accepts
// connections over TCP, which is what vipd's check looks at. It knows nothing of
// vipd and lives apart from it.
type service struct {
	host      *testenv.Host
	responder *testenv.Responder
	listener  net.Listener // nil while the service is down
	accepting sync.WaitGroup
}

// start brings the service up.
func (s *service) start() error {
	err := s.host.NS.Do(func() error {
		var err error
		s.listener, err = net.ListenTCP("tcp", &net.TCPAddr{Port: servicePort})
		return err
	})
	if err != nil {
		return fmt.Errorf("start the service on %s: %w", s.host.Name, err)
	}
	listener := s.listener
	s.accepting.Go(func() { accept(listener) })
	s.host.OnClose(s.stop)
	if s.responder, err = s.host.Respond(servicePort); err != nil {
		return fmt.Errorf("start the service on %s: %w", s.host.Name, err)
	}
	return nil
}

// accept greets and leaves, until the listener is closed.
func accept(l net.Listener) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		_ = conn.Close() // that it was accepted is all that matters
	}
}

// stop breaks the service: nothing listens any more, over UDP or TCP. A second
// call does nothing.
func (s *service) stop() error {
	if s.listener == nil {
		return nil
	}
	err := s.listener.Close()
	s.accepting.Wait()
	s.listener = nil
	if s.responder != nil {
		err = errors.Join(err, s.responder.Close())
	}
	return err
}
