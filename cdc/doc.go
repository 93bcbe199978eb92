// Package cdc reads a PostgreSQL publication: its catalogue, its rows as of an instant, and every change since.
//
// It owns the replication slot, barriers, COPY, decoding pgoutput to whole transactions, confirming LSNs, the lock that
// keeps two bridges off one slot, and the preflight of the PostgreSQL side. It does not own what becomes of the changes
// and knows nothing of their target; whoever consumes them is authoritative for how far they are durable.
//
//	        ┌──────────────────────── PostgreSQL ────────────────────────┐
//	        │ walsender of the slot        temporary slot       backends │
//	        └──────┬──────────▲──────────────────┬─────────────────┬─────┘
//	   XLogData,   │          │ status update:   │ LSN, exported   │ COPY … WHERE ctid
//	   keepalive   │          │ confirmed LSN    │ snapshot        │ under the snapshot
//	          ┌────▼───┐  ┌───┴────┐         ┌───▼─────┐   ┌───────▼────────┐
//	Stream.Run│ reader │  │ status │         │ Barrier │──▶│ Barrier.Copy   │
//	          │        │─▶│        │         └─────────┘   │ n workers      │
//	          └────┬───┘  └───▲────┘                       └───────┬────────┘
//	     messages  │          │                                    │ runs of rows
//	          ┌────▼───┐      │                                    │
//	          │ queue  │      │ Confirm(LSN)                       │
//	          │ decoder│      │                                    │
//	          └────┬───┘      │                                    │
//	      Batches  │  ▲ Done  │                                    │
//	          ┌────▼──┴───────┴────────────────────────────────────▼───────────┐
//	          │                         the consumer                           │
//	          └────────────────────────────────────────────────────────────────┘
//
// # Invariants
//
//   - Transactions arrive whole, once per stream and in the order of their commit LSNs. Protocol version 1 without
//     streaming brings committed transactions only; the decoder refuses anything else.
//   - (commit LSN, ordinal) is the position of a change: it is unique and increases. The end LSN of a transaction, its
//     Commit event's, is where to go on: a stream from there holds exactly the transactions after it.
//   - A Progress event says that everything published before its LSN has been delivered by the events before it. A
//     transaction in which nothing published happened becomes one.
//   - PostgreSQL is told only what Confirm said, never what was merely received. A new stream starts by repeating the
//     slot's own position, even if it reads from a later one.
//   - A barrier's snapshot holds exactly the transactions with commit LSN < Barrier.LSN.
//   - A value has one text, in the stream as in a copy: the settings that it depends on travel in the startup packet
//     of every session.
//   - What has come and is not Done is bounded by bytes, so a transaction of any size passes through.
//   - No password is part of an error.
//
// # Goroutines
//
// Run owns three: the reader (its caller's), the status sender, the only writer to the connection, and the decoder
// between the queue and Batches. All have ended when Run returns. The reader never waits for the consumer except at the queue's
// bound; the status sender never waits for anybody. So a consumer that stalls for hours holds WAL on the server, which
// Slot.RetainedBytes shows, but does not let the walsender time out.
//
// # Failures
//
//   - Any error of a stream ends it. Nothing is lost by that: the next OpenStream from the consumer's own position brings
//     again what had not become durable, and the decoder skips what had, by whole transactions.
//   - The slot has been confirmed beyond the consumer's position (the target was restored from a backup): ErrSlotAhead.
//     The slot was invalidated: ErrSlotLost. It is gone: ErrNoSlot. No slot is ever recreated silently.
//   - A connection that is open but dead: the server is asked for an answer after half of StreamOptions.ReceiveTimeout;
//     without one the stream ends with ErrSilent.
//   - Older transactions keep a slot or barrier from being created: when the context ends, the walsender is terminated
//     by its pid and its end awaited, and the error (ErrBlocked) names those transactions.
//   - A table is truncated or rewritten between a barrier and its copy, where an old snapshot would see too little:
//     ErrRewritten; a new barrier helps. While a copy runs its lock keeps rewriting off.
//   - A fast shutdown of PostgreSQL waits for walsenders. It ends ordinary sessions at once, so a bridge that watches
//     Lock.Lost lets go of a stalled stream in time.
package cdc
