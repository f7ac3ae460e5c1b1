package daemon

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vipd/vipd/internal/lease"
	"github.com/vipd/vipd/internal/netif"
	"github.com/vipd/vipd/pkg/config"
	"github.com/vipd/vipd/pkg/config/disk"
	"github.com/vipd/vipd/pkg/engine"
)

// heldSchema is the schema of the file that a run leaves for the next one when that
// goes on with the VIPs that it held.
const heldSchema = "vipd.held/v1"

// heldFile is that file. It is good for one lease, and only as long as the kernel
// has that: a reboot needs no guard of its own.
type heldFile struct {
	Schema string             `json:"schema"`
	VIPs   map[string]heldVIP `json:"vips"`
	Leases lease.Left         `json:"leases"`
}

// heldVIP has times by the clock that counts from the start of the host and that
// nobody can set.
type heldVIP struct {
	engine.Kept
	Said  time.Duration `json:"said_ns"`
	Until time.Duration `json:"until_ns"`
}

func (d *Daemon) heldPath() string { return filepath.Join(d.opts.StateDir, "held.json") }

// sinceBooted is for how long the host has run, asleep or not.
func sinceBooted() (time.Duration, error) {
	var up unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &up); err != nil {
		return 0, fmt.Errorf("ask for the time since the boot: %w", err)
	}
	return time.Duration(up.Nano()), nil
}

// keepable names the VIPs that a stop may leave to the next run: it will find them
// configured as they are. Without a place to leave word there are none.
func (d *Daemon) keepable() (names []string) {
	cfg := d.cfg.Load().Engine
	if !cfg.Keep || len(cfg.VIPs) == 0 || d.shadow != nil {
		return nil
	}
	err := errors.New("there is no state directory")
	if d.opts.StateDir != "" {
		err = replace(d.heldPath(), nil, false) // what can be written now can be written in a moment
	}
	next, _ := disk.Load(d.opts.ConfigPath)
	if err == nil && next == nil {
		err = errors.New("the file of the configuration is not valid")
	}
	if err != nil {
		d.log.Warn("VIPs are not kept over the restart", "error", err)
		return nil
	}
	for name, v := range cfg.VIPs {
		if w, there := next.Engine.VIPs[name]; there && v.SamePlace(w) && next.Engine.Keep {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// leaveHeld leaves word for the next run, when the engine has something for it, and
// reports whether it has. It comes after the last turn.
func (d *Daemon) leaveHeld() bool {
	d.one.Lock()
	vips, table := d.eng.Left(), d.leases.ready
	d.one.Unlock()
	if len(vips) == 0 || table == nil {
		return false
	}
	if err := d.leave(table, vips); err != nil {
		d.log.Error("VIPs are not kept over the restart", "error", err)
		_, _ = table.Leave(nil)
		return false
	}
	return true
}

func (d *Daemon) leave(table *lease.Table, vips map[string]engine.Kept) error {
	left, err := table.Leave(slices.Collect(maps.Keys(vips)))
	if err != nil {
		return err
	}
	text, err := marshalHeld(vips, left)
	if err != nil {
		return err
	}
	return replace(d.heldPath(), text, false)
}

func marshalHeld(vips map[string]engine.Kept, left lease.Left) ([]byte, error) {
	up, err := sinceBooted()
	if err != nil {
		return nil, err
	}
	now := time.Now() // after the other clock, so that a pause makes leases end early
	file := heldFile{Schema: heldSchema, VIPs: map[string]heldVIP{}, Leases: left}
	for name, k := range vips {
		file.VIPs[name] = heldVIP{Kept: k, Said: up + k.Said.Sub(now), Until: up + k.Until.Sub(now)}
	}
	text, err := json.Marshal(file)
	return append(text, '\n'), err
}

// inherit reads what the last run held and left to this one, once.
func (d *Daemon) inherit() (map[string]engine.Kept, *lease.Left) {
	if d.opts.StateDir == "" {
		return nil, nil
	}
	vips, leases, err := readHeld(d.heldPath())
	if err == nil && leases != nil {
		err = leases.Fits()
	}
	if err != nil {
		d.lose("what the last run held does not go on", err)
		return nil, nil
	}
	return vips, leases
}

func readHeld(path string) (map[string]engine.Kept, *lease.Left, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, nil
	}
	if err == nil {
		err = os.Remove(path)
	}
	if err != nil || len(text) == 0 { // it came to nothing
		return nil, nil, err
	}
	var file heldFile
	if err := json.Unmarshal(text, &file); err != nil {
		return nil, nil, fmt.Errorf("read %s: %w", path, err)
	}
	if err := otherSchema(file.Schema, heldSchema); err != nil {
		return nil, nil, fmt.Errorf("read %s: %w", path, err)
	}
	now := time.Now() // before the other clock, for the same reason
	up, err := sinceBooted()
	if err != nil {
		return nil, nil, err
	}
	vips := map[string]engine.Kept{}
	for name, v := range file.VIPs {
		v.Kept.Said, v.Kept.Until = now.Add(v.Said-up), now.Add(v.Until-up)
		vips[name] = v.Kept
	}
	return vips, &file.Leases, nil
}

// goesOn prepares to go on with what the last run held, as far as that is possible:
// it is left as it is, and so are its leases.
func (d *Daemon) goesOn(cfg *config.Config) (left map[string]engine.Kept, stay []netif.Wanted) {
	left, leases := d.inherit()
	goes, _ := cfg.Engine.Resumes(time.Now(), left)
	if len(goes) == 0 {
		return left, nil
	}
	for i := range leases.VIPs {
		v := &leases.VIPs[i]
		if _, ok := goes[v.Name]; !ok {
			v.Ends = true
		}
	}
	d.leases.left = leases
	for name := range goes {
		stay = append(stay, wantedOf(name, cfg.Engine.VIPs[name]))
	}
	return left, stay
}

// wantedOf is what the kernel has of a VIP that is held.
func wantedOf(name string, v engine.VIP) netif.Wanted {
	return netif.Wanted{Owner: name, Link: v.Interface, VMAC: v.VMAC, VRID: v.VRID, Family4: v.Family4(), Addresses: v.Addresses, Routes: routes(v.Routes), Present: true}
}

func routes(list []engine.Route) []netif.Route {
	out := make([]netif.Route, len(list))
	for i, r := range list {
		out[i] = netif.Route{To: r.To, Via: r.Via, Table: r.Table}
	}
	return out
}
