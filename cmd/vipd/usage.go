package main

// usage is what vipd --help prints. A test compares it with the commands.
const usage = `vipd keeps a service's address alive: hosts elect, by VRRP, who holds it, or
announce it by BGP while they are healthy.
What keepalived calls MASTER is ACTIVE here. The manual is vipd(8).

Usage:
    vipd run [-c FILE]                 the daemon: what systemd starts
    vipd check-config [FILE]           every problem of a configuration file at once
    vipd diff                          what a reload would change, in words
    vipd reload [--confirm-within 60s] have the configuration read again, and take that
                                       back unless vipd reload --confirm comes in time

    vipd status [NAME] [-w]            everything on one screen, or one vip or service
    vipd watch [-n 1s] [-w]            the same, live, with the latest events
    vipd why NAME                      why it is as it is, and what would change it
    vipd what-if link eth0 down        what would happen: see vipd help what-if
    vipd is-active NAME                print its state; exit 0 if ACTIVE or ANNOUNCED here
    vipd events [-f] [--since 1h]      what happened, oldest first
    vipd doctor [--probe] [--listen]   what of this host is in the way, and the fix
    vipd health                        one line, and an exit code, for Nagios or Icinga
    vipd replay FILE                   play a recording of vipd run --record again
    vipd check list | run NAME         the checks; make one probe now
    vipd bgp                           the BGP sessions, and what neighbors were told

    vipd drain [NAME...] [--wait] [--for 2h] [--reason TEXT]
                                       take vips and services, or everything, out of
                                       service politely
    vipd undrain [NAME...]             put them back
    vipd failover NAME                 give a vip that is ACTIVE here to a peer
    vipd drill NAME [--kind stop | link | check | fence-test]
                                       prove that a peer can take a vip, and take it back
    vipd fence list | test DEVICE | history
                                       how silent peers are cut off; read a device
    vipd fence confirm PEER --i-checked
                                       state that a peer is off: see vipd-fence(7)

    vipd witness --key-file FILE       the third vote of a pair, on a third machine

    vipd demo                          watch failovers, timed, in a lab of its own
    vipd lab test lb1.toml lb2.toml    try your own two files: drain, kill, cut, timed
    vipd init vip | anycast            print a commented starting file
    vipd import-keepalived FILE        convert keepalived.conf, with a report of each line
    vipd completion bash | zsh | fish  print a completion script
    vipd version                       print the version of this program
    vipd help COMMAND                  all flags of a command

Flags of every command:
    --socket PATH    control socket of the daemon (VIPD_SOCKET)
    --json           print JSON
    --no-color       print no colours (NO_COLOR)
    -q, --quiet      print errors and what was asked for, nothing else
    -v, --verbose    say what is asked of the daemon
    --timeout TIME   give up after this time (default 5s, 1m when waiting)

Exit codes: 0 done or yes, 1 failed or no, 2 wrong usage, 3 no daemon, 4 invalid
configuration, 5 not permitted, 6 refused for safety, 7 timed out.

Example:
    $ vipd init vip > /etc/vipd/vipd.toml
    $ vipd status
    $ vipd drain --wait --reason "new kernel"`
