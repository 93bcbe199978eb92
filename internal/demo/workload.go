package demo

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"golang.org/x/sync/errgroup"
)

// workers is how many transactions run at a time. One of them alone is bound by the time of a commit.
const workers = 6

// recently is how many of the newest sales customers and clerks still have to do with.
const recently = 3000

// workload is what goes on in the shop. Every transaction keeps these true at each commit: for every store and product,
// received - on_hand of the stock is the quantity of its sales that are neither cancelled nor refunded.
type workload struct {
	shop    *shop
	pacer   *pacer
	newest  atomic.Int64 // newest id of a sale
	changes atomic.Int64 // rows changed by committed transactions
}

func newWorkload(s *shop, rate int) *workload {
	w := &workload{shop: s, pacer: newPacer(rate)}
	w.newest.Store(max(1, s.lastSale))
	return w
}

// run works until ctx ends, something fails or closing is closed; then no transaction is under way any more, unless ctx
// has ended.
func (w *workload) run(ctx context.Context, closing <-chan struct{}) error {
	group, ctx := errgroup.WithContext(ctx)
	for range workers {
		group.Go(func() error { return w.work(ctx, closing) })
	}
	return group.Wait()
}

func (w *workload) work(ctx context.Context, closing <-chan struct{}) error {
	for w.pacer.wait(ctx, closing) {
		if err := w.transact(ctx, draw()); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// event is something that happens in the shop: one transaction. It returns how many rows it changed.
type event struct {
	name   string
	weight int // of this many in mixture
	apply  func(context.Context, *workload, pgx.Tx) (int64, error)
}

// events are the mixture. Each transaction takes its locks in the same order: sales before stock, stock by its key.
var events = []event{
	{"basket", 42, basket},
	{"advance", 40, advance},
	{"cancel", 6, cancel},
	{"refund", 5, refundOld},
	{"reprice", 3, reprice},
	{"enter late", 2, enterLate},
	{"redate", 2, redate},
}

// mixture is the sum of the weights.
var mixture = func() (sum int) {
	for _, e := range events {
		sum += e.weight
	}
	return sum
}()

func draw() event {
	n := rand.IntN(mixture)
	for _, e := range events {
		if n -= e.weight; n < 0 {
			return e
		}
	}
	return events[0] // not reached
}

// transact runs one transaction, and counts and charges its changes once it has committed.
func (w *workload) transact(ctx context.Context, e event) error {
	var changed int64
	err := pgx.BeginFunc(ctx, w.shop.pool, func(tx pgx.Tx) (err error) {
		changed, err = e.apply(ctx, w, tx)
		return err
	})
	if err != nil {
		return fmt.Errorf("%s: %w", e.name, err)
	}
	w.account(changed)
	return nil
}

func (w *workload) account(changed int64) {
	w.changes.Add(changed)
	w.pacer.charge(changed)
}

// item is a line of a basket.
type item struct {
	store, product, customer, quantity int
	status                             string
	age                                time.Duration
	note                               *string
}

func (w *workload) anyItem() item {
	return item{
		store: 1 + rand.IntN(w.shop.stores), product: 1 + rand.IntN(w.shop.products),
		customer: 1 + rand.IntN(10_000), quantity: 1 + rand.IntN(4), status: "new",
	}
}

// basket sells a few products in one store: one transaction over sales and stock.
func basket(ctx context.Context, w *workload, tx pgx.Tx) (changed int64, err error) {
	lines := make([]item, 1+rand.IntN(4))
	lines[0] = w.anyItem()
	for i := range lines[1:] {
		lines[i+1] = w.anyItem()
		lines[i+1].store, lines[i+1].customer = lines[0].store, lines[0].customer
	}
	slices.SortFunc(lines, func(a, b item) int { return cmp.Compare(a.product, b.product) })
	for _, line := range lines {
		if _, err := w.sell(ctx, tx, line); err != nil {
			return 0, err
		}
		changed += 2
	}
	return changed, nil
}

// querier is a connection or a transaction.
type querier interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

var _ querier = (*pgxpool.Pool)(nil)

// sell changes two rows and returns the id of the sale.
func (w *workload) sell(ctx context.Context, q querier, i item) (id int64, err error) {
	err = q.QueryRow(ctx, statement("sell"), i.store, i.product, i.customer, i.quantity, i.status, i.age, i.note).Scan(&id)
	if err != nil {
		return 0, err
	}
	for newest := w.newest.Load(); newest < id && !w.newest.CompareAndSwap(newest, id); newest = w.newest.Load() {
	}
	return id, nil
}

// recent draws a sale of the last seconds or minutes.
func (w *workload) recent() int64 {
	newest := w.newest.Load()
	return newest - rand.Int64N(min(recently, newest))
}

// old draws any sale; most of them settled long ago.
func (w *workload) old() int64 { return 1 + rand.Int64N(w.newest.Load()) }

// advance takes a few sales a step further, from new to paid to shipped.
func advance(ctx context.Context, w *workload, tx pgx.Tx) (int64, error) {
	ids := make([]int64, 1+rand.IntN(8))
	for i := range ids {
		ids[i] = w.recent()
	}
	return exec(ctx, tx, "advance", 1, ids)
}

func cancel(ctx context.Context, w *workload, tx pgx.Tx) (int64, error) {
	return exec(ctx, tx, "cancel", 2, w.recent())
}

func refundOld(ctx context.Context, w *workload, tx pgx.Tx) (int64, error) {
	return exec(ctx, tx, "refund", 2, w.old(), "returned")
}

func reprice(ctx context.Context, w *workload, tx pgx.Tx) (int64, error) {
	return exec(ctx, tx, "reprice", 1, 1+rand.IntN(w.shop.products), 0.95+rand.Float64()/10)
}

// enterLate sells what was sold hours ago: a till was offline.
func enterLate(ctx context.Context, w *workload, tx pgx.Tx) (int64, error) {
	late, note := w.anyItem(), "entered late"
	late.status, late.age, late.note = "paid", anyAge(), &note
	_, err := w.sell(ctx, tx, late)
	return 2, err
}

// redate moves the date of a sale over the split, in either direction.
func redate(ctx context.Context, w *workload, tx pgx.Tx) (int64, error) {
	if rand.IntN(2) == 0 {
		return exec(ctx, tx, "redate", 1, w.old(), time.Duration(0))
	}
	return exec(ctx, tx, "redate", 1, w.recent(), anyAge())
}

func anyAge() time.Duration { return time.Duration(rand.Int64N(int64(24 * time.Hour))) }

// exec runs a statement that changes each row in so many tables.
func exec(ctx context.Context, tx pgx.Tx, name string, tables int64, args ...any) (int64, error) {
	tag, err := tx.Exec(ctx, statement(name), args...)
	if err != nil {
		return 0, err
	}
	return tables * tag.RowsAffected(), nil
}
