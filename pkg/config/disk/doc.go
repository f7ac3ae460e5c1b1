// Package disk reads configuration files from the file system for pkg/config.
// It refuses what is no regular file: a fifo or a device could keep the daemon
// waiting for ever.
package disk
