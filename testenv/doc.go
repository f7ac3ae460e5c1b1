// Package testenv builds small networks out of Linux network namespaces, so
// that a failover can be tested on one machine, as root or as an ordinary user.
//
// A program or a test binary that uses it calls [Isolate] or [Main] first: it
// runs itself again inside fresh namespaces of its own, so that nothing of the
// machine is touched and nothing is left behind. Then:
//
//   - [NewLab], or [TestLab] in a test, makes a [Lab]; [Lab.Host] puts hosts on
//     its switch, [Host.Start] runs the program under test on them;
//   - [Host.Respond] is a service on a host and [Host.Probe] its client, a
//     thousand times a second: the [Report] says what was lost, for how long,
//     and who answered;
//   - [Host.Observe] sees ARP, ND and VRRP on an interface with the kernel's
//     times, decoded independently of the program under test; [Host.WhoHas]
//     finds addresses that two hosts answer for; [Host.Injector] sends any frame;
//   - [Lab.PortDown], [Lab.Cut], [Lab.CutOneWay] and [Lab.Loss] break the
//     network, [Lab.Heal] mends it.
//
// The sub-package peers runs keepalived and FRR in a lab.
//
// Times are taken by one clock, that of [time.Now], so that a frame, a probe and
// an event of the test can be compared. The lab has one kernel: hosts share
// clock, CPUs and memory, and a busy machine makes all of them late together.
// There is no delay or reordering of frames.
package testenv
