// Package controltest is a daemon made of values, for tests of the control
// socket and of the commands. It keeps a status, changes it as an engine would
// when it is told to drain or fail over, and runs nothing.
package controltest
