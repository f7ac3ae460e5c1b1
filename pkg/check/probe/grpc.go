package probe

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/vipd/vipd/pkg/check"
)

// The health protocol is one call over HTTP/2: see
// https://github.com/grpc/grpc/blob/master/doc/health-checking.md and
// PROTOCOL-HTTP2.md beside it. The client of the library would keep a connection
// and a dozen goroutines for it.
const (
	healthCheck  = "/grpc.health.v1.Health/Check"
	grpcHead     = 5    // of a message: one byte of flags, four of length
	maxGRPC      = 4096 // bytes of an answer
	fieldService = 1    // string, in HealthCheckRequest
	fieldStatus  = 1    // enum, in HealthCheckResponse

	serving         = 1 // ServingStatus
	statusNotFound  = "5"
	statusUnimplem  = "12"
	contentTypeGRPC = "application/grpc"
)

var servingWords = map[uint64]string{0: "UNKNOWN", 1: "SERVING", 2: "NOT_SERVING", 3: "SERVICE_UNKNOWN"}

// GRPC asks a gRPC server for the health of a service.
func GRPC(ctx context.Context, g check.GRPC, _ Settings) Result {
	within, start := limit(ctx), time.Now()
	conn, hangUp, err := dial(ctx, g.Address, g.Source)
	if err != nil {
		return Result{Detail: err.Error(), Took: time.Since(start)}
	}
	defer hangUp()
	name := "gRPC " + g.Address
	if g.Service != "" {
		name += " " + g.Service
	}
	if g.TLS {
		secure, err := handshake(ctx, conn, trustFor(g.Trust, g.Address), "h2")
		if err != nil {
			return Result{Detail: fmt.Sprintf("%s: TLS: %v", name, err)}
		}
		if secure.ConnectionState().NegotiatedProtocol != "h2" {
			return Result{Detail: name + ": the server does not offer HTTP/2"}
		}
		conn = secure
	}
	resp, err := exchange2(ctx, conn, healthRequest(ctx, g))
	if err != nil {
		return Result{Detail: fmt.Sprintf("%s: %s", name, explain(err, within))}
	}
	defer func() { _ = resp.Body.Close() }()
	status, err := readHealth(resp)
	switch {
	case err != nil:
		return Result{Detail: fmt.Sprintf("%s: %s", name, explain(err, within))}
	case servingWords[status] == "":
		return Result{Detail: fmt.Sprintf("%s: status %d", name, status)}
	}
	return Result{OK: status == serving, Detail: name + ": " + servingWords[status]}
}

// healthRequest is the call of Check.
func healthRequest(ctx context.Context, g check.GRPC) *http.Request {
	var message []byte
	if g.Service != "" {
		message = protowire.AppendTag(message, fieldService, protowire.BytesType)
		message = protowire.AppendString(message, g.Service)
	}
	body := append(make([]byte, grpcHead), message...)
	binary.BigEndian.PutUint32(body[1:grpcHead], uint32(len(message)))
	scheme, host := "http", g.Address
	if g.TLS {
		scheme = "https"
	}
	switch {
	case g.Trust.ServerName != "":
		host = g.Trust.ServerName
	case isSocket(g.Address):
		host = "localhost"
	}
	return (&http.Request{
		Method: http.MethodPost,
		URL:    &url.URL{Scheme: scheme, Host: host, Path: healthCheck},
		Header: http.Header{
			"User-Agent":   {"vipd"},
			"Content-Type": {contentTypeGRPC},
			"Te":           {"trailers"},
			"Grpc-Timeout": {strconv.FormatInt(limit(ctx).Milliseconds()+1, 10) + "m"},
		},
		Body:          io.NopCloser(bytes.NewReader(body)),
		ContentLength: int64(len(body)),
	}).WithContext(ctx)
}

// readHealth returns the status in the answer to Check.
func readHealth(resp *http.Response) (uint64, error) {
	if kind := resp.Header.Get("Content-Type"); resp.StatusCode != http.StatusOK || !strings.HasPrefix(kind, contentTypeGRPC) {
		return 0, fmt.Errorf("not a gRPC server: it answers %s, %s", excerpt([]byte(resp.Status)), either(excerpt([]byte(kind)), "no type"))
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxGRPC+1))
	if err != nil {
		return 0, err
	}
	if len(body) > maxGRPC {
		return 0, fmt.Errorf("an answer of more than %d bytes", maxGRPC)
	}
	code, text := resp.Trailer.Get("Grpc-Status"), resp.Trailer.Get("Grpc-Message")
	if code == "" { // an error may come in the head alone
		code, text = resp.Header.Get("Grpc-Status"), resp.Header.Get("Grpc-Message")
	}
	switch code {
	case "0":
		return parseHealth(body)
	case "":
		return 0, errors.New("an answer without a gRPC status")
	case statusNotFound:
		return 0, errors.New("no such service")
	case statusUnimplem:
		return 0, errors.New("the server has no health service")
	}
	if plain, err := url.PathUnescape(text); err == nil {
		text = plain
	}
	return 0, fmt.Errorf("gRPC status %s: %s", excerpt([]byte(code)), either(excerpt([]byte(text)), "no message"))
}

// parseHealth takes the status out of one message; fields that are not known
// are skipped.
func parseHealth(body []byte) (status uint64, err error) {
	if len(body) < grpcHead || body[0] != 0 || int64(binary.BigEndian.Uint32(body[1:])) != int64(len(body)-grpcHead) {
		return 0, errors.New("the answer is not one plain message")
	}
	for rest := body[grpcHead:]; len(rest) > 0; {
		number, kind, n := protowire.ConsumeTag(rest)
		if n < 0 {
			return 0, errors.New("the message is garbled")
		}
		rest = rest[n:]
		if number == fieldStatus && kind == protowire.VarintType {
			status, n = protowire.ConsumeVarint(rest)
		} else {
			n = protowire.ConsumeFieldValue(number, kind, rest)
		}
		if n < 0 {
			return 0, errors.New("the message is garbled")
		}
		rest = rest[n:]
	}
	return status, nil
}

func either(a, b string) string {
	if a != "" {
		return a
	}
	return b
}
