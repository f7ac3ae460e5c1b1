package probe

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"math"
	"net"
	"net/http"
)

// exchange sends a request and reads the head of the answer, by the version of
// HTTP that TLS has agreed on. The caller closes conn, after reading the body.
func exchange(ctx context.Context, conn net.Conn, req *http.Request) (*http.Response, error) {
	if secure, ok := conn.(*tls.Conn); ok && secure.ConnectionState().NegotiatedProtocol == "h2" {
		return exchange2(ctx, conn, req)
	}
	return exchange1(conn, req)
}

// exchange1 sends a request by HTTP/1.1 and reads the head of the
// answer. This is less than http.Transport does, since no connection is used
// twice: no goroutine, half the garbage, and the caller says how it ends.
func exchange1(conn net.Conn, req *http.Request) (*http.Response, error) {
	var out bytes.Buffer
	if err := req.Write(&out); err != nil {
		return nil, err
	}
	_, sent := conn.Write(out.Bytes()) // it may have answered before it closed
	head := &headReader{conn: conn, left: maxHead}
	in := bufio.NewReaderSize(head, 2<<10)
	for {
		resp, err := http.ReadResponse(in, req)
		switch {
		case err != nil && head.err != nil && sent != nil:
			return nil, sent
		case err != nil && head.err != nil:
			return nil, head.err // what is said about half a head is misleading
		case err != nil:
			return nil, err
		case resp.StatusCode >= 200 || resp.StatusCode == http.StatusSwitchingProtocols:
			head.left = math.MaxInt64
			return resp, nil
		}
		_ = resp.Body.Close() // it has none: more of the head follows
	}
}

// headReader reads a connection, at first no more than a head may have.
type headReader struct {
	conn net.Conn
	left int64
	err  error // that ended it
}

func (r *headReader) Read(p []byte) (int, error) {
	if r.left <= 0 {
		r.err = fmt.Errorf("more than %d KiB of headers", maxHead>>10)
		return 0, r.err
	}
	n, err := r.conn.Read(p[:min(int64(len(p)), r.left)])
	r.left -= int64(n)
	if err != nil {
		r.err = err
	}
	return n, err
}

// exchange2 sends a request by HTTP/2 and reads the head of the answer. The
// goroutines of the library end when conn is closed.
func exchange2(ctx context.Context, conn net.Conn, req *http.Request) (*http.Response, error) {
	given := func(context.Context, string, string) (net.Conn, error) { return conn, nil }
	protocols := new(http.Protocols)
	protocols.SetHTTP2(true)
	protocols.SetUnencryptedHTTP2(true)
	transport := &http.Transport{
		DialContext:            given,
		DialTLSContext:         given,
		Protocols:              protocols,
		MaxResponseHeaderBytes: maxHead,
		DisableCompression:     true,
	}
	client, err := transport.NewClientConn(ctx, req.URL.Scheme, "given:0")
	if err != nil {
		return nil, err
	}
	return client.RoundTrip(req)
}
