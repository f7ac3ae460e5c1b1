// Command vipd keeps a service's address alive. It is both the daemon (vipd run)
// and what operators talk to it with. See vipd(8).
package main

import "os"

func main() {
	os.Exit(execute(os.Args[1:], os.Stdout, os.Stderr))
}
