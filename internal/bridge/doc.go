// Package bridge runs tidemark: the commit loop, and all that has to be in order before it.
//
//	cdc.Stream ──transactions──▶ loop ──tick──▶ rtwindow, historic ──deltas──▶ splitdate.Publish ──▶ keeper ──▶ Confirm
//	cron ──────────roll────────▶  ▲                                                              drops, then confirms
//	load (barrier, COPY) ─────────┘
//
// One goroutine, the loop, owns the newest mark and everything that leads to the next one: ticks, rolls and the end of a
// load come one after the other. Beside it run the stream's reader, the keeper, which drops chunks that no query can need
// and confirms positions to PostgreSQL, and at most one each of: a load, a fold, a reading again (verify, repair), the
// computing of an aggregate, the merging of its states. A watcher that asks PostgreSQL about slot and partitions outlives
// the session.
//
// A session is everything between taking the lock and losing one of the two servers. What fails for a reason that may
// pass ends the session, and the next one begins as a restart would: from the newest mark, in a new term. There is no
// other recovery.
package bridge
