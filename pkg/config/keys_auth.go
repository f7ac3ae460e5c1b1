package config

import "github.com/vipd/vipd/pkg/vrrp"

// The words of auth.mode that are not those of a [vrrp.AuthMode].
const authOff = "off"

// authRows are the keys of the authentication of adverts, in the words of
// keepalived's auth_hmac.
var authRows = []key{
	{path: "vip.*.auth.mode", none: "required in [vip.NAME.auth]",
		kind: choice{authOff, string(vrrp.AuthReceiveOnly), string(vrrp.AuthPermissive), string(vrrp.AuthEnforce), string(vrrp.AuthPassword)},
		doc: "What is signed and believed: receive-only verifies what is signed and signs nothing, permissive signs and still believes what is not signed, " +
			"enforce believes nothing else; password is the clear text of version 2, off is for one VIP where [vip_defaults] have auth.",
		rfc: "draft-cassen-vrrp-auth-hmac; password: Simple Text Password (RFC 2338, 5.3.6.2)", also: []string{"auth_type"}},
	{path: "vip.*.auth.keys", kind: keyring{}, none: "required unless mode is off or password",
		doc:  "Ids of keys and their files, or the bare names of systemd credentials; an advert may be signed with any of them.",
		rfc:  "Key ID (draft-cassen-vrrp-auth-hmac)",
		also: []string{"key"}},
	{path: "vip.*.auth.active_key", kind: integer{1, 255}, none: "the only key",
		doc: "Id of the key that signs."},
	{path: "vip.*.auth.anti_replay", kind: choice{string(vrrp.ReplayTime), string(vrrp.ReplayMonotonic)}, none: `"time"`,
		doc: "What keeps recorded adverts from being believed: time needs clocks that agree, monotonic only that each host's numbers grow."},
	{path: "vip.*.auth.time_window", kind: duration{vrrp.MinWindow, vrrp.MaxWindow, false}, none: "three times advert_interval, 5s at least",
		doc: "How far the clocks of two hosts may be apart, with anti_replay = \"time\"."},
	{path: "vip.*.auth.password_file", kind: secretText, none: "required in mode password",
		doc:  "File with the password of 1–8 characters, or the bare name of a systemd credential; everybody on the network can read it from the adverts.",
		also: []string{"auth_pass", "password"}},
}
