// Package doctor judges a host: [Examine] takes what vipd needs of it and what
// was found on it, and answers with findings, each with a way out. Gathering the
// facts is the work of internal/doctor; here is neither file nor socket.
package doctor
