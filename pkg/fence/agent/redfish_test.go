package agent

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/vipd/vipd/pkg/fence"
)

// emulator is a BMC with a Redfish service, for one system.
type emulator struct {
	*httptest.Server
	mu    sync.Mutex
	state string        // PowerState
	later time.Duration // until a reset has its effect
	lies  bool          // a reset has none
	odd   http.HandlerFunc
	token string   // of the only session, "" = none
	seen  []string // requests, without their bodies
}

func newEmulator(t *testing.T) *emulator {
	e := &emulator{state: "On"}
	e.Server = httptest.NewUnstartedServer(http.HandlerFunc(e.serve))
	e.Config.ErrorLog = log.New(t.Output(), "", 0)
	e.StartTLS()
	t.Cleanup(e.Close)
	return e
}

func (e *emulator) serve(w http.ResponseWriter, r *http.Request) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.seen = append(e.seen, r.Method+" "+r.URL.Path)
	if e.odd != nil {
		e.odd(w, r)
		return
	}
	const sessions, machine = "/redfish/v1/SessionService/Sessions", "/redfish/v1/Systems/1"
	var body struct{ UserName, Password, ResetType string }
	_ = json.NewDecoder(r.Body).Decode(&body) // a GET has none
	if r.Method == http.MethodPost && r.URL.Path == sessions {
		if body.UserName != "vipd" || body.Password != "hunter2" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		e.token = "secret-token"
		w.Header().Set("X-Auth-Token", e.token)
		w.Header().Set("Location", e.URL+sessions+"/1")
		w.WriteHeader(http.StatusCreated)
		return
	}
	user, password, _ := r.BasicAuth()
	if (user != "vipd" || password != "hunter2") && (e.token == "" || r.Header.Get("X-Auth-Token") != e.token) {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	switch r.Method + " " + r.URL.Path {
	case "GET /redfish/v1/Systems":
		_, _ = fmt.Fprintf(w, `{"Members":[{"@odata.id":%q}]}`, machine)
	case "GET " + machine:
		_, _ = fmt.Fprintf(w, `{"@odata.id":%q,"PowerState":%q,"Actions":{"#ComputerSystem.Reset":{"target":"%s/Actions/ComputerSystem.Reset"}}}`, machine, e.state, machine)
	case "POST " + machine + "/Actions/ComputerSystem.Reset":
		e.reset(body.ResetType)
		w.WriteHeader(http.StatusNoContent)
	case "DELETE " + sessions + "/1":
		e.token = ""
	default:
		w.WriteHeader(http.StatusNotFound)
	}
}

// reset needs mu.
func (e *emulator) reset(kind string) {
	to := map[string]string{"ForceOff": "Off", "On": "On"}[kind]
	switch {
	case e.lies || to == "":
	case e.later == 0:
		e.state = to
	default:
		e.state = "PoweringOff"
		time.AfterFunc(e.later, func() {
			e.mu.Lock()
			defer e.mu.Unlock()
			e.state = to
		})
	}
}

// device is the emulator as it is configured, with more options.
func (e *emulator) device(t *testing.T, more ...string) Device {
	t.Helper()
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: e.Certificate().Raw}), 0o644); err != nil {
		t.Fatal(err)
	}
	set := map[string]string{"url": e.URL, "username": "vipd", "ca_file": ca}
	for _, o := range more {
		name, value, _ := strings.Cut(o, "=")
		set[name] = value
	}
	d := Device{fence.Device{Agent: fence.AgentRedfish}, []fence.Option{{Name: "password", Value: "hunter2"}}}
	for name, value := range set {
		d.Options = append(d.Options, fence.Option{Name: name, Value: value})
	}
	return d
}

func (e *emulator) do(t *testing.T, v fence.Verb, timeout time.Duration, more ...string) fence.Ended {
	t.Helper()
	return Once(t.Context(), ask(v, timeout), e.device(t, more...), "")
}

// A machine is read, switched off, which takes it a while, read, and switched on.
func TestRedfish(t *testing.T) {
	t.Parallel()
	for _, auth := range []string{"basic", "session"} {
		t.Run(auth, func(t *testing.T) {
			t.Parallel()
			e := newEmulator(t)
			e.later = 600 * time.Millisecond
			for _, tt := range []struct {
				verb fence.Verb
				want int
				then string
			}{
				{fence.VerbStatus, 0, "On"}, {fence.VerbOff, 0, "Off"}, {fence.VerbStatus, 2, "Off"}, {fence.VerbOff, 0, "Off"},
			} {
				if diff := cmp.Diff(fence.Ended{ID: 7, Exit: tt.want}, e.do(t, tt.verb, minute, "auth="+auth)); diff != "" || e.state != tt.then {
					t.Errorf("%s: %s; it is %s, want %s", tt.verb, diff, e.state, tt.then)
				}
			}
			e.later = 0
			if end := e.do(t, fence.VerbOn, minute, "auth="+auth, "system=/redfish/v1/Systems/1"); end.Exit != 0 || e.state != "On" {
				t.Errorf("on: %+v; it is %s", end, e.state)
			}
			if e.token != "" {
				t.Error("a session was left open")
			}
		})
	}
}

// What a BMC may answer instead: none of it counts as off.
func TestRedfishOdd(t *testing.T) {
	t.Parallel()
	reply := func(text string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprint(w, text) }
	}
	const at = "system=/redfish/v1/Systems/1"
	for name, tt := range map[string]struct {
		verb    fence.Verb
		more    []string
		odd     http.HandlerFunc
		lies    bool
		timeout time.Duration
		want    fence.Ended
	}{
		"wrong password":  {verb: fence.VerbOff, more: []string{"username=root"}, want: fence.Ended{Exit: 1, Detail: "login denied: 401 Unauthorized"}},
		"no session":      {verb: fence.VerbOff, more: []string{"username=root", "auth=session"}, want: fence.Ended{Exit: 1, Detail: "login denied: 401 Unauthorized"}},
		"no such system":  {verb: fence.VerbOff, more: []string{"system=/redfish/v1/Systems/9"}, want: fence.Ended{Exit: 1, Detail: "GET /redfish/v1/Systems/9: 404 Not Found"}},
		"lies":            {verb: fence.VerbOff, lies: true, timeout: 700 * time.Millisecond, want: fence.Ended{Exit: -1, Late: true, Detail: "not done within 700ms: /redfish/v1/Systems/1 was told to go off, and is On still"}},
		"redirects":       {verb: fence.VerbStatus, more: []string{at}, odd: http.RedirectHandler("https://192.0.2.1/", http.StatusFound).ServeHTTP, want: fence.Ended{Exit: 1, Detail: `/redfish/v1/Systems/1 redirects to "https://192.0.2.1/": name its real place`}},
		"garbage":         {verb: fence.VerbStatus, more: []string{at}, odd: reply("<html>\x00"), want: fence.Ended{Exit: 1, Detail: "/redfish/v1/Systems/1 is not what Redfish answers: invalid character '<' looking for beginning of value"}},
		"empty":           {verb: fence.VerbStatus, more: []string{at}, odd: reply("{}"), want: fence.Ended{Exit: 1, Detail: `/redfish/v1/Systems/1 has the power state ""`}},
		"null":            {verb: fence.VerbStatus, more: []string{at}, odd: reply(`{"PowerState":null}`), want: fence.Ended{Exit: 1, Detail: `/redfish/v1/Systems/1 has the power state ""`}},
		"strange state":   {verb: fence.VerbStatus, more: []string{at}, odd: reply(`{"PowerState":"off"}`), want: fence.Ended{Exit: 1, Detail: `/redfish/v1/Systems/1 has the power state "off"`}},
		"10 MB":           {verb: fence.VerbStatus, more: []string{at}, odd: reply(`{"PowerState":"Off","x":"` + strings.Repeat("x", 10<<20) + `"}`), want: fence.Ended{Exit: 1, Detail: "/redfish/v1/Systems/1 is larger than 1024 KiB"}},
		"no reset":        {verb: fence.VerbOff, more: []string{at}, odd: reply(`{"PowerState":"On"}`), want: fence.Ended{Exit: 1, Detail: "the system offers no ComputerSystem.Reset"}},
		"reset elsewhere": {verb: fence.VerbOff, more: []string{at}, odd: reply(`{"PowerState":"On","Actions":{"#ComputerSystem.Reset":{"target":"https://192.0.2.1/x"}}}`), want: fence.Ended{Exit: 1, Detail: `it refers to "https://192.0.2.1/x", which is not on this BMC`}},
		"two systems":     {verb: fence.VerbOff, odd: reply(`{"Members":[{"@odata.id":"/a"},{"@odata.id":"/b"}]}`), want: fence.Ended{Exit: 1, Detail: "there are 2 systems: name one with the option system"}},
		"broken":          {verb: fence.VerbOff, odd: func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) }, want: fence.Ended{Exit: 1, Detail: "GET /redfish/v1/Systems: 500 Internal Server Error"}},
		"slow": {verb: fence.VerbStatus, more: []string{at}, odd: func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, timeout: 300 * time.Millisecond,
			want: fence.Ended{Exit: -1, Late: true, Detail: "not done within 300ms: context deadline exceeded"}},
		"wrong fingerprint": {verb: fence.VerbStatus, more: []string{"ca_file=", "fingerprint=" + strings.Repeat("ab", 32)},
			want: fence.Ended{Exit: 1, Detail: "the certificate has the fingerprint FINGERPRINT, not that of the configuration"}},
		"unknown authority": {verb: fence.VerbStatus, more: []string{"ca_file="}, want: fence.Ended{Exit: 1, Detail: "tls: failed to verify certificate: x509: certificate signed by unknown authority"}},
		"no ca file":        {verb: fence.VerbStatus, more: []string{"ca_file=/missing"}, want: fence.Ended{Exit: 1, Detail: "open /missing: no such file or directory"}},
		"not https":         {verb: fence.VerbStatus, more: []string{"url=http://192.0.2.1"}, want: fence.Ended{Exit: 1, Detail: "url is not one of https"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := newEmulator(t)
			e.odd, e.lies = tt.odd, tt.lies
			if tt.timeout == 0 {
				tt.timeout = minute
			}
			sum := sha256.Sum256(e.Certificate().Raw)
			tt.want.ID, tt.want.Detail = 7, strings.ReplaceAll(tt.want.Detail, "FINGERPRINT", hex.EncodeToString(sum[:]))
			if diff := cmp.Diff(tt.want, e.do(t, tt.verb, tt.timeout, tt.more...)); diff != "" {
				t.Errorf("(-want +got)\n%s\n%v", diff, e.seen)
			}
		})
	}
}

// A BMC with a certificate of its own is known by its fingerprint, with colons or
// without.
func TestRedfishFingerprint(t *testing.T) {
	t.Parallel()
	e := newEmulator(t)
	sum := sha256.Sum256(e.Certificate().Raw)
	plain := strings.ToUpper(hex.EncodeToString(sum[:]))
	for _, print := range []string{plain, strings.ToLower(plain), colons(plain)} {
		if end := e.do(t, fence.VerbStatus, minute, "ca_file=", "fingerprint="+print); end.Exit != 0 || end.Detail != "" {
			t.Errorf("%s: %+v", print, end)
		}
	}
}

func colons(s string) string {
	var parts []string
	for ; s != ""; s = s[2:] {
		parts = append(parts, s[:2])
	}
	return strings.Join(parts, ":")
}
