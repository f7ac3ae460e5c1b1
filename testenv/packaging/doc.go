// Package packaging builds the packages of contrib/packaging from the binary
// that is in VIPD_BIN, installs them into roots of their own, and looks at what
// they do: what they hold, what their scripts ask of systemd, how the unit and
// the manual are made. It touches nothing of the machine.
package packaging
