// Package mutants is the test of the tests: it breaks the product in ways that
// matter, one at a time, and fails when no test finds that out. Nothing in the
// product knows of it: a mutant is a text in a file that is replaced by another one
// while the tests are compiled (go test -overlay).
package mutants
