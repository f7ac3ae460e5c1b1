// Package labs tests the built vipd in networks of namespaces: on its own, beside
// Debian's keepalived and FRR, and against hostile hosts. What the clients, the
// wire and the other daemons say is what counts.
package labs
