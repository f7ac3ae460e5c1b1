package sim_test

import "time"

// drawAny draws one of all faults but those of the pair channel.
func drawAny(d *drawing) {
	h, other := d.host()
	switch d.IntN(31) {
	case 0:
		d.add("crash %s", h)
	case 1:
		d.add("kill %s", h)
	case 2, 3:
		d.add("boot %s", h)
	case 4:
		d.add("link %s %s %s", h, d.one("eth0", "eth1"), d.one("up", "down"))
	case 5:
		d.add("cut %s %s", h, other)
	case 6:
		d.add("loss %.2f", d.Float64()*0.8)
	case 7, 15, 16, 17, 18:
		d.drawCheck(h)
	case 8:
		d.add("drain %s", h)
	case 9:
		d.add("undrain %s", h)
	case 10:
		d.add("failover %s web", h)
	case 11:
		d.add("steal %s web", h)
	case 12, 13, 14:
		d.drawReload()
	case 19:
		d.add("checks %s %d", h, d.IntN(1e6))
	case 20, 21:
		d.add("hook %s %s", h, d.one("fast", "slow", "fails", "hangs"))
	case 22:
		d.add("speaker %s dies", h)
	case 23, 24:
		d.add("neighbor %s %s %s", h, d.one("tor-a", "tor-b"), d.one("away", "back"))
	case 25:
		d.add("services %s %d", h, d.IntN(1e6))
	case 26:
		d.add("steal %s anycast/dns", h)
	case 27, 28:
		d.add("announcers %s %d %d", h, d.IntN(3), d.IntN(3))
	case 29:
		d.drawBurst()
	case 30:
		d.drawStorm()
	}
}

func (d *drawing) drawCheck(h string) {
	d.add("check %s %s %s", h, d.one(checkNames...), d.one("ok", "fail"))
}

func (d *drawing) drawReload() {
	d.add("reload %s %d", d.one("priorities", "vrids", "addresses", "refresh", "drop", "web"), 1+d.IntN(254))
}

// drawAtHost draws something that happens to a host, and nothing to the network.
func drawAtHost(d *drawing) {
	h, other := d.host()
	interval := d.plan.shape.interval
	pause := d.upTo(10 * interval)
	if d.IntN(3) == 0 {
		pause = d.upTo(5 * time.Second)
	}
	switch d.IntN(19) {
	case 0:
		d.add("crash %s", h)
	case 1:
		d.add("kill %s", h)
	case 2:
		d.add("boot %s", h)
	case 3, 4: // killed, and back before anybody takes over
		d.add("kill %s", h)
		d.at += 50*time.Millisecond + d.upTo(450*time.Millisecond)
		d.add("boot %s", h)
	case 5, 6, 7:
		d.add("pause %s %s", h, pause)
	case 8, 9:
		d.add("stall %s %s", h, pause)
	case 10:
		d.drawCheck(h)
	case 11:
		d.add("drain %s", h)
	case 12:
		d.add("undrain %s", h)
	case 13:
		d.add("failover %s web", h)
	case 14:
		d.add("steal %s web", h)
	case 15:
		d.drawReload()
	case 16: // what is offered waits at the other host
		d.add("pause %s %s", other, d.upTo(80*time.Millisecond))
		d.at += d.upTo(20 * time.Millisecond)
		d.add("failover %s web", h)
	case 17: // an upgrade in place, in time or not
		d.add("restart %s %s", h, d.upTo(6*interval))
	case 18:
		d.drawStorm()
	}
}

// drawCut draws something that happens to the network, a host or a fence device.
func drawCut(d *drawing) {
	h, other := d.host()
	interval := d.plan.shape.interval
	switch d.IntN(20) {
	case 0:
		d.add("crash %s", h)
	case 1:
		d.add("kill %s", h)
	case 2, 3:
		d.add("cut %s %s", h, other)
		d.add("cut %s %s", other, h)
	case 4:
		d.add("cut %s %s", h, other)
	case 5:
		d.add("loss %.2f", d.Float64()*0.9)
	case 6:
		d.add("pause %s %s", h, d.upTo(20*interval))
	case 7:
		d.add("heal")
	case 8:
		d.add("boot %s", h)
	case 9:
		d.drawDevice(h)
	case 10:
		d.add("check %s gateway %s", h, d.one("ok", "fail"))
	case 11:
		d.add("stall %s %s", h, d.upTo(10*interval))
	case 12:
		d.drawSlow(h)
	case 13:
		d.drawLag()
	case 14:
		d.add("twice %.2f", d.Float64())
	case 15:
		d.drawBurst()
	case 16:
		d.drawStorm()
	case 17:
		d.add("isolate %s", h)
	case 18:
		d.add("rejoin %s", h)
	case 19:
		d.add("confirm %s %s", h, other)
	}
}

// drawVote draws something that happens to the network, a host or the witness.
func drawVote(d *drawing) {
	h, other := d.host()
	witness := d.plan.shape.witness != ""
	fences := d.plan.shape.fences
	switch n := d.IntN(20); {
	case n < 4 && !witness:
	case n == 0:
		d.add("witness dies")
	case n == 1:
		d.add("witness starts")
	case n == 2:
		d.add("cut %s %s", h, witnessName)
	case n == 3:
		d.add("cut %s %s", witnessName, h)
	case n == 4:
		d.add("cut %s %s", h, other)
		d.add("cut %s %s", other, h)
	case n == 5:
		d.add("cut %s %s", h, other)
	case n == 6:
		d.add("loss %.2f", d.Float64()*0.9)
	case n == 7:
		d.add("heal")
	case n == 8:
		d.drawSlow(h)
	case n == 9:
		d.drawLag()
	case n == 10:
		d.add("twice %.2f", d.Float64())
	case n == 11:
		d.drawBurst()
	case n == 12:
		d.add("isolate %s", h)
	case n == 13:
		d.add("rejoin %s", h)
	case n == 14 && fences:
		d.drawDevice(h)
	case n == 15 && fences:
		d.add("check %s gateway %s", h, d.one("ok", "fail"))
	default:
		drawAtHost(d)
	}
}

// drawDevice breaks what could cut a host off, in one way or another.
func (d *drawing) drawDevice(h string) {
	d.add("device %s %s", h, d.one("dead", "hangs", "lies", "wrong", "share"))
}

// drawBurst has many messages be lost for a while.
func (d *drawing) drawBurst() {
	d.add("burst %.2f %s", 0.5+d.Float64()/2, d.upTo(8*d.plan.shape.interval))
}

// drawStorm takes the power from all hosts at once, and gives it back: each boots in
// its own time.
func (d *drawing) drawStorm() {
	for i := range d.plan.shape.priorities {
		d.add("crash %s", hostName(i))
	}
	d.at += d.upTo(time.Second)
	for i := range d.plan.shape.priorities {
		d.add("boot %s %s", hostName(i), d.upTo(8*time.Second))
	}
}

// drawClocks has the clocks of half of all worlds run at different speeds.
func (d *drawing) drawClocks(names ...string) {
	if d.IntN(2) == 0 {
		return
	}
	most := []int{200, 1000, 50_000}[d.IntN(3)]
	for _, name := range names {
		d.add("clock %s %d", name, d.IntN(2*most+1)-most)
	}
}

// drawLag makes the network slow, or ends that.
func (d *drawing) drawLag() {
	d.add("lag %s", d.upTo(500*time.Millisecond)*time.Duration(d.IntN(2)))
}

// drawSlow makes a kernel slow, or ends that. Where nothing but adverts guards a
// VIP it is none of the faults: who takes over finds out only after it has opened
// that the other host does not wait for it any more.
func (d *drawing) drawSlow(h string) {
	d.add("slow %s %s", h, d.upTo(300*time.Millisecond)*time.Duration(d.IntN(2)))
}
