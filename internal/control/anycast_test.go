package control_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/vipd/vipd/internal/control"
	"github.com/vipd/vipd/pkg/engine"
)

// TestAnycastDocuments reads each of them.
func TestAnycastDocuments(t *testing.T) {
	t.Parallel()
	client, _, _ := serve(t, anycast(), control.Options{})
	for path, want := range map[string]string{
		"/v1/anycast":                 `{"schema":"vipd.anycast/v1","node":"lb1"`,
		"/v1/anycast/resolver":        `{"schema":"vipd.service/v1","node":"lb1"`,
		"/v1/anycast/resolver/why":    `{"schema":"vipd.why/v1","kind":"anycast","name":"resolver"`,
		"/v1/bgp/neighbors":           `{"schema":"vipd.bgp/v1","node":"lb1"`,
		"/v1/bgp/neighbors/tor-b/why": `{"schema":"vipd.why/v1","kind":"neighbor","name":"tor-b"`,
		"/v1/anycast/none":            `there is ntp, resolver, web`,
		"/v1/bgp/neighbors/none/why":  `there is tor-a, tor-b`,
		"/readyz":                     `ntp is WITHDRAWN: check api fails: exit 1: backend 3 of 5`,
	} {
		if _, _, body := request(t, client, http.MethodGet, path, ""); !strings.Contains(string(body), want) {
			t.Errorf("%s: %s", path, body)
		}
	}
	plain, _, _ := serve(t, pair(), control.Options{})
	for path, want := range map[string]string{"/v1/anycast": `"services":[]}`, "/v1/bgp/neighbors": `Z"}`} {
		if _, _, body := request(t, plain, http.MethodGet, path, ""); !strings.HasSuffix(strings.TrimSpace(string(body)), want) {
			t.Errorf("%s without any: %s", path, body)
		}
	}
}

// TestDrainService: drains take the names of services, and wait for them.
func TestDrainService(t *testing.T) {
	t.Parallel()
	d := anycast()
	client, _, _ := serve(t, d, control.Options{})
	if status, _, body := request(t, client, http.MethodPost, "/v1/drain", `{"names":["resolver","mail"]}`); status != http.StatusOK {
		t.Fatalf("status %d: %s", status, body)
	}
	got, ok := d.Events()[0].(engine.Drain)
	if !ok || strings.Join(got.Names, " ") != "resolver mail" {
		t.Errorf("done: %+v", d.Events())
	}
	if status, _, body := request(t, client, http.MethodPost, "/v1/vips/resolver/failover", ""); status == http.StatusOK {
		t.Errorf("a service is failed over: %s", body)
	}
}
