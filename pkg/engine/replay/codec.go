package replay

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"time"

	"github.com/vipd/vipd/pkg/engine"
)

// Schema names the form of a recording.
const Schema = "vipd.recording/v1"

// Header is the first line of a recording.
type Header struct {
	Schema  string    `json:"schema"`
	Version string    `json:"version"` // of the vipd that recorded
	Node    string    `json:"node"`
	Started time.Time `json:"started"` // what engine.New was called with
}

// Step is one call of engine.Step and what it reported.
type Step struct {
	At      time.Duration // since Header.Started
	Event   engine.Event
	Records []engine.Record // their times are At
}

// events has a value of every type of event.
var events = []engine.Event{
	engine.Wake{}, engine.Stop{}, engine.Configure{}, engine.AdvertReceived{}, engine.LinkChanged{}, engine.AddressClaimed{},
	engine.AddressesApplied{}, engine.AnnouncementSent{}, engine.FenceEnded{}, engine.ConfirmFence{}, engine.RestoreFences{}, engine.VoteAsked{}, engine.VoteAnswered{}, engine.GuardSet{}, engine.LeaseSet{}, engine.LeaseLost{}, engine.PairUp{}, engine.PairDown{}, engine.PeerHeard{},
	engine.SpeakerUp{}, engine.SpeakerDown{}, engine.SessionChanged{}, engine.TableAnnounced{},
	engine.Wake{}, engine.Stop{}, engine.Resume{}, engine.Configure{}, engine.AdvertReceived{}, engine.LinkChanged{}, engine.AddressClaimed{},
	engine.AddressesApplied{}, engine.AnnouncementSent{}, engine.GuardSet{}, engine.LeaseSet{}, engine.LeaseLost{}, engine.PairUp{}, engine.PairDown{}, engine.PeerHeard{},
	engine.SpeakerUp{}, engine.SpeakerDown{}, engine.SessionChanged{}, engine.TableAnnounced{}, engine.AnnouncersSeen{},
	engine.CheckDone{}, engine.CheckSeen{}, engine.SendFailed{}, engine.Drain{}, engine.RestoreDrains{}, engine.Undrain{},
	engine.Failover{}, engine.Drill{}, engine.VIPProbed{}, engine.RestoreProven{}, engine.NotifyDone{}, engine.HookDone{}, engine.Noted{},
}

// types finds a type of event by its name.
var types = func() map[string]reflect.Type {
	m := make(map[string]reflect.Type, len(events))
	for _, ev := range events {
		t := reflect.TypeOf(ev)
		m[t.Name()] = t
	}
	return m
}()

// line is a Step in JSON.
type line struct {
	At      time.Duration              `json:"t"`
	Event   map[string]json.RawMessage `json:"event"` // one: its type and its value
	Records []engine.Record            `json:"records,omitempty"`
}

// AppendHeader appends the first line to b.
func AppendHeader(b []byte, h Header) ([]byte, error) {
	h.Schema, h.Started = Schema, h.Started.UTC()
	return appendLine(b, h)
}

// AppendStep appends the line of a step to b.
func AppendStep(b []byte, s Step) ([]byte, error) {
	name := reflect.TypeOf(s.Event).Name()
	if types[name] == nil {
		return b, fmt.Errorf("write an event: no type is named %s", name)
	}
	raw, err := appendLine(nil, s.Event)
	if err != nil {
		return b, err
	}
	return appendLine(b, line{At: s.At, Event: map[string]json.RawMessage{name: raw}, Records: timeless(s.Records)})
}

// appendLine appends JSON as people read it: nobody puts it into HTML.
func appendLine(b []byte, doc any) ([]byte, error) {
	out := bytes.NewBuffer(b)
	enc := json.NewEncoder(out)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(doc); err != nil {
		return b, fmt.Errorf("write a line: %w", err)
	}
	return out.Bytes(), nil
}

// timeless returns copies of records without their times: the step has one.
func timeless(records []engine.Record) []engine.Record {
	list := make([]engine.Record, len(records))
	for i, r := range records {
		r.Time, r.Mono = time.Time{}, 0
		list[i] = r
	}
	return list
}

// parseHeader reads the first line.
func parseHeader(raw []byte) (Header, error) {
	var h Header
	switch err := json.Unmarshal(raw, &h); {
	case err != nil || h.Schema == "":
		return h, errors.New("this is no recording of vipd run --record")
	case h.Schema != Schema:
		return h, fmt.Errorf("a recording of schema %s; this vipd reads %s", h.Schema, Schema)
	case h.Started.IsZero():
		return h, errors.New("the recording does not say when it started")
	}
	return h, nil
}

// parseStep reads any other line.
func parseStep(raw []byte) (Step, error) {
	var l line
	if err := strict(raw, &l); err != nil {
		return Step{}, err
	}
	if len(l.Event) != 1 {
		return Step{}, fmt.Errorf("%d events, not one", len(l.Event))
	}
	s := Step{At: l.At, Records: l.Records}
	for name, raw := range l.Event {
		t := types[name]
		if t == nil {
			return Step{}, fmt.Errorf("no type of event is named %q", name)
		}
		ev := reflect.New(t)
		if err := strict(raw, ev.Interface()); err != nil {
			return Step{}, fmt.Errorf("%s: %w", name, err)
		}
		s.Event = ev.Elem().Interface().(engine.Event)
	}
	return s, sane(s.Event)
}

// sane refuses a configuration that pkg/config lets nobody have, and that the
// engine need not survive.
func sane(ev engine.Event) error {
	c, ok := ev.(engine.Configure)
	if !ok {
		return nil
	}
	for name, v := range c.Config.VIPs {
		if len(v.Addresses) == 0 || v.Interval <= 0 || v.Priority == 0 {
			return fmt.Errorf("vip %s has no address, advert_interval or priority", name)
		}
	}
	for name, c := range c.Config.Checks {
		if c.Spec == nil {
			return fmt.Errorf("check %s has no type", name)
		}
	}
	return nil
}

// strict reads one JSON value in which every field is known.
func strict(raw []byte, into any) error {
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.DisallowUnknownFields()
	switch err := dec.Decode(into); {
	case errors.Is(err, io.EOF):
		return errors.New("nothing is there")
	case err != nil:
		return err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return errors.New("something follows the value")
	}
	return nil
}
