package agent

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/vipd/vipd/internal/program"
	"github.com/vipd/vipd/pkg/fence"
)

const (
	maxBody  = 1 << 20                // of one answer
	pollTime = 250 * time.Millisecond // between two readings of a machine that is switched off
)

// Exit codes, as those of programs.
const (
	exitOK     = 0
	exitFailed = 1
	exitOff    = 2
)

// bmc is a conversation with a Redfish service (DMTF DSP0266): one action long.
type bmc struct {
	client   *http.Client
	base     *url.URL
	user     string
	password string
	token    string // of a session; "" = each request carries the password
	session  string // its place
}

// system is what a ComputerSystem says (DMTF DSP2046).
type system struct {
	PowerState string
	Actions    struct {
		Reset struct {
			Target string `json:"target"`
		} `json:"#ComputerSystem.Reset"`
	}
}

// redfish does what a asks for by the Redfish service of a BMC.
func redfish(ctx context.Context, a fence.RunAgent, d Device) fence.Ended {
	ctx, cancel := context.WithTimeout(ctx, a.Timeout)
	defer cancel()
	exit, err := act(ctx, a.Verb, d)
	switch {
	case err == nil:
		return fence.Ended{Exit: exit}
	case ctx.Err() == context.DeadlineExceeded:
		return fence.Ended{Exit: -1, Late: true, Detail: fmt.Sprintf("not done within %v: %v", a.Timeout, cause(err))}
	}
	return fence.Ended{Exit: exitFailed, Detail: program.Printable([]byte(cause(err)))}
}

// act connects and does it.
func act(ctx context.Context, v fence.Verb, d Device) (exit int, err error) {
	b, err := dial(d)
	if err != nil {
		return exitFailed, err
	}
	defer b.client.CloseIdleConnections()
	if option(d, "auth") == "session" {
		if err := b.login(ctx); err != nil {
			return exitFailed, err
		}
		defer b.logout(ctx)
	}
	place := option(d, "system")
	if place == "" {
		if place, err = b.only(ctx); err != nil {
			return exitFailed, err
		}
	}
	s, err := b.system(ctx, place)
	if err != nil {
		return exitFailed, err
	}
	off := s.PowerState == "Off"
	switch v {
	case fence.VerbStatus:
		if off {
			return exitOff, nil
		}
		return exitOK, nil
	case fence.VerbOff:
		return exitOK, b.off(ctx, place, s)
	case fence.VerbOn:
		if !off {
			return exitOK, nil
		}
		return exitOK, b.reset(ctx, s, "On")
	}
	return exitFailed, fmt.Errorf("there is no action %q", v)
}

// dial prepares a conversation. Certificates are verified by the system's
// authorities, those of ca_file, or by the fingerprint of the one of the BMC.
func dial(d Device) (*bmc, error) {
	base, err := url.Parse(option(d, "url"))
	if err != nil || base.Scheme != "https" || base.Host == "" {
		return nil, errors.New("url is not one of https")
	}
	trust := &tls.Config{MinVersion: tls.VersionTLS12}
	if file := option(d, "ca_file"); file != "" {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		trust.RootCAs = x509.NewCertPool()
		if !trust.RootCAs.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("%s holds no certificate", file)
		}
	}
	if want := option(d, "fingerprint"); want != "" {
		trust.InsecureSkipVerify = true // it is verified below, and by more than a name
		trust.VerifyConnection = func(s tls.ConnectionState) error { return sameFingerprint(s, want) }
	}
	return &bmc{
		base: base, user: option(d, "username"), password: secret(d, "password"),
		client: &http.Client{
			Transport:     &http.Transport{TLSClientConfig: trust, ForceAttemptHTTP2: true},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }, // the password goes nowhere else
		},
	}, nil
}

// sameFingerprint checks the certificate of the BMC by its SHA-256.
func sameFingerprint(s tls.ConnectionState, want string) error {
	sum := sha256.Sum256(s.PeerCertificates[0].Raw)
	if got := hex.EncodeToString(sum[:]); !strings.EqualFold(got, strings.ReplaceAll(want, ":", "")) {
		return fmt.Errorf("the certificate has the fingerprint %s, not that of the configuration", got)
	}
	return nil
}

// only returns the place of the one system that the service has.
func (b *bmc) only(ctx context.Context) (string, error) {
	var list struct {
		Members []struct {
			Place string `json:"@odata.id"`
		}
	}
	if err := b.get(ctx, "/redfish/v1/Systems", &list); err != nil {
		return "", err
	}
	if len(list.Members) != 1 || list.Members[0].Place == "" {
		return "", fmt.Errorf("there are %d systems: name one with the option system", len(list.Members))
	}
	return list.Members[0].Place, nil
}

// system reads a system. One that does not say whether it is on or off is an
// error, and never off.
func (b *bmc) system(ctx context.Context, place string) (system, error) {
	var s system
	if err := b.get(ctx, place, &s); err != nil {
		return s, err
	}
	switch s.PowerState {
	case "On", "Off", "PoweringOn", "PoweringOff", "Paused":
		return s, nil
	}
	return s, fmt.Errorf("%s has the power state %q", place, s.PowerState)
}

// off switches a system off, and waits until it says that it is.
func (b *bmc) off(ctx context.Context, place string, s system) error {
	if s.PowerState == "Off" {
		return nil
	}
	if err := b.reset(ctx, s, "ForceOff"); err != nil {
		return err
	}
	tick := time.NewTicker(pollTime)
	defer tick.Stop()
	for state := s.PowerState; ; {
		if s, err := b.system(ctx, place); err == nil {
			state = s.PowerState
		}
		switch {
		case state == "Off":
			return nil
		case ctx.Err() != nil:
			return fmt.Errorf("%s was told to go off, and is %s still", place, state)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}
}

// reset is the action ComputerSystem.Reset.
func (b *bmc) reset(ctx context.Context, s system, kind string) error {
	if s.Actions.Reset.Target == "" {
		return errors.New("the system offers no ComputerSystem.Reset")
	}
	_, err := b.do(ctx, http.MethodPost, s.Actions.Reset.Target, map[string]string{"ResetType": kind}, nil)
	return err
}

// login opens a session, for services that do not take a password with each
// request.
func (b *bmc) login(ctx context.Context) error {
	header, err := b.do(ctx, http.MethodPost, "/redfish/v1/SessionService/Sessions", map[string]string{"UserName": b.user, "Password": b.password}, nil)
	if err != nil {
		return err
	}
	if b.token = header.Get("X-Auth-Token"); b.token == "" {
		return errors.New("the login gave no X-Auth-Token")
	}
	b.session = header.Get("Location")
	return nil
}

// logout ends the session: a BMC has few of them.
func (b *bmc) logout(ctx context.Context) {
	if b.session == "" {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace)
	defer cancel()
	_, _ = b.do(ctx, http.MethodDelete, b.session, nil, nil) // it ends by itself as well, later
}

func (b *bmc) get(ctx context.Context, place string, into any) error {
	_, err := b.do(ctx, http.MethodGet, place, nil, into)
	return err
}

// do makes one request. The place is on this BMC, or refused.
func (b *bmc) do(ctx context.Context, method, place string, body, into any) (http.Header, error) {
	at, err := b.base.Parse(place)
	if err != nil || at.Scheme != b.base.Scheme || at.Host != b.base.Host {
		return nil, fmt.Errorf("it refers to %q, which is not on this BMC", place)
	}
	var text []byte
	if body != nil {
		if text, err = json.Marshal(body); err != nil {
			return nil, err
		}
	}
	req, err := http.NewRequestWithContext(ctx, method, at.String(), bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "application/json")
	req.Header.Set("OData-Version", "4.0")
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	switch {
	case b.token != "":
		req.Header.Set("X-Auth-Token", b.token)
	case !strings.HasSuffix(place, "/SessionService/Sessions"):
		req.SetBasicAuth(b.user, b.password)
	}
	resp, err := b.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }() // all of it that counts was read
	return resp.Header, b.take(resp, into)
}

// take judges an answer and reads it.
func (b *bmc) take(resp *http.Response, into any) error {
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxBody+1))
	path := resp.Request.URL.Path
	switch {
	case resp.StatusCode == http.StatusUnauthorized || resp.StatusCode == http.StatusForbidden:
		return fmt.Errorf("login denied: %s", resp.Status)
	case resp.StatusCode >= 300 && resp.StatusCode < 400:
		return fmt.Errorf("%s redirects to %q: name its real place", path, resp.Header.Get("Location"))
	case resp.StatusCode < 200 || resp.StatusCode >= 300:
		return fmt.Errorf("%s %s: %s", resp.Request.Method, path, resp.Status)
	case err != nil:
		return fmt.Errorf("read %s: %w", path, err)
	case len(text) > maxBody:
		return fmt.Errorf("%s is larger than %d KiB", path, maxBody>>10)
	case into == nil:
		return nil
	}
	if err := json.Unmarshal(text, into); err != nil {
		if late := resp.Request.Context().Err(); late != nil {
			return late // and the answer was cut
		}
		return fmt.Errorf("%s is not what Redfish answers: %w", path, err)
	}
	return nil
}

// cause takes the request off an error of the HTTP client: the device is named
// already.
func cause(err error) string {
	if e, ok := errors.AsType[*url.Error](err); ok {
		err = e.Err
	}
	return err.Error()
}

// option returns an option of a device, "" when it has none of that name.
func option(d Device, name string) string { return valueOf(d.Options, name) }

func secret(d Device, name string) string { return valueOf(d.Secrets, name) }

func valueOf(list []fence.Option, name string) string {
	for _, o := range list {
		if o.Name == name {
			return o.Value
		}
	}
	return ""
}
