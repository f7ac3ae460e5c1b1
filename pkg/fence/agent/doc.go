// Package agent has devices cut a peer off, or say whether it is: it carries out
// what pkg/fence decides, and answers with how that ended. It decides nothing
// itself, and tries nothing twice.
//
// A device is worked by a program that speaks the fence-agents API, by Redfish
// over HTTPS, or by an operator. Programs get their options on the standard
// input, and never on a command line or in an environment, where others could
// read a password. They run as another user, without capabilities, and are killed
// at their timeout with all that they started.
package agent
