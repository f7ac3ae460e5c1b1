// Package speaker has the labs of [github.com/vipd/vipd/pkg/bgp/speaker]: its child
// process against FRR and BIRD as top-of-rack routers, and against neighbors that
// send what no router should.
package speaker
