// Package model holds models of the protocols that keep a VIP with one host, for
// the model checker Spin, and a test that checks them: each model without a
// mistake in it, and each known mistake found. README.md tells what they cover.
package model
