// Package demo runs everything at once for somebody who wants to look at tidemark: a PostgreSQL, a ClickHouse, a shop
// that sells, changes and cancels, the bridge between them, and a line a second about it.
//
// It owns the shop, its workload, the prober that measures commit-to-visible, the screen, and the comparison of the
// tables with their views. It does not own the servers (package engine) nor the bridge (package bridge), which runs here
// as it would under `tidemark run`, with a configuration file that the user can use as well. PostgreSQL is authoritative
// for what the views should show, the newest mark for what they do show.
//
// A demo lives in one folder: configuration, the bridge's log and, with Options.Keep, both servers' data. Without it
// everything is temporary and gone in the end.
package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/sync/errgroup"

	"github.com/tidemark-db/tidemark/internal/bridge"
	"github.com/tidemark-db/tidemark/internal/config"
	"github.com/tidemark-db/tidemark/internal/engine"
	"github.com/tidemark-db/tidemark/internal/fault"
	"github.com/tidemark-db/tidemark/internal/observe"
	"github.com/tidemark-db/tidemark/internal/warehouse"
	"github.com/tidemark-db/tidemark/splitdate"
)

// Options say what the demo does.
type Options struct {
	For      time.Duration // then it compares and ends; 0 is until ctx ends
	RTWindow time.Duration // age at which a row settles
	Rate     int           // row changes per second
	Keep     string        // folder for the servers' data, to go on with next time; "" is a temporary one

	Out      io.Writer     // for people; a live block where it is a terminal, lines elsewhere
	Progress io.Writer     // told when a server is fetched
	Warnings io.Writer     // gets the bridge's warnings and errors, which its log file has too
	LogLevel zerolog.Level // of the log file
	Build    observe.Build // of this binary

	size shopSize // of a new shop; the zero value is defaultSize
}

// stopPatience bounds the orderly stop of both servers.
const stopPatience = 15 * time.Second

// demo is a running one.
type demo struct {
	opts       Options
	folder     *folder
	postgres   *engine.Postgres
	clickhouse *engine.ClickHouse
	cfg        *config.Config
	log        zerolog.Logger

	screen *screen
	shop   *shop
	users  *warehouse.Conn // connects as a BI tool would
	marks  *marks
}

// Run runs the demo until it is over or ctx ends, and returns when all that it started has ended. It returns nil when
// ctx ended the demo once it was running, or when every view was found equal to its table.
func Run(ctx context.Context, o Options) (err error) {
	if o.size == (shopSize{}) {
		o.size = defaultSize
	}
	d := &demo{opts: o, screen: newScreen(o.Out)}
	d.folder, err = openFolder(o.Keep)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.folder.close()) }()
	defer func() { err = errors.Join(err, d.stopServers(ctx)) }()
	defer func() { err = errors.Join(err, d.disconnect()) }()
	if err := d.start(ctx); err != nil {
		return err
	}
	if err := d.screen.introduce(d.places()); err != nil {
		return err
	}
	return d.run(ctx)
}

// start brings up the servers and the shop, and writes the configuration.
func (d *demo) start(ctx context.Context) (err error) {
	d.screen.say("Starting PostgreSQL %s and ClickHouse %s …", engine.DefaultPostgres, engine.DefaultClickHouse)
	d.postgres, err = engine.StartPostgres(ctx, engine.PostgresOptions{Dir: d.folder.postgres(), Progress: d.opts.Progress})
	if err != nil {
		return err
	}
	d.clickhouse, err = engine.StartClickHouse(ctx, engine.ClickHouseOptions{Dir: d.folder.clickhouse(), Progress: d.opts.Progress})
	if err != nil {
		return err
	}
	if err := d.openShop(ctx); err != nil {
		return err
	}
	if d.cfg, err = d.folder.configure(d.postgres.DSN(database), d.clickhouse.DSN(database), d.opts.RTWindow); err != nil {
		return err
	}
	if d.log, err = d.folder.logger(d.opts.LogLevel, d.screen.above(d.opts.Warnings)); err != nil {
		return err
	}
	return d.connect()
}

func (d *demo) openShop(ctx context.Context) error {
	s, made, err := openShop(ctx, d.postgres.DSN, d.opts.size)
	if err != nil {
		return err
	}
	d.shop = s
	if made {
		d.screen.say("The shop is new: %d stores, %d products, %s sales of the last two days.",
			d.opts.size.stores, d.opts.size.products, thousands(d.opts.size.sales))
	} else {
		d.screen.say("Going on with the shop in %s.", d.folder.path)
	}
	return nil
}

func (d *demo) connect() (err error) {
	dsn := d.cfg.ClickHouse.DSN.Reveal()
	if d.users, err = warehouse.Open(warehouse.Options{DSN: dsn, Reader: true}); err != nil {
		return err
	}
	d.marks, err = openMarks(dsn)
	return err
}

// disconnect closes what start has opened.
func (d *demo) disconnect() error {
	var errs []error
	if d.shop != nil {
		d.shop.close()
	}
	if d.users != nil {
		errs = append(errs, d.users.Close())
	}
	if d.marks != nil {
		errs = append(errs, d.marks.close())
	}
	return errors.Join(errs...)
}

func (d *demo) stopServers(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopPatience)
	defer cancel()
	var errs []error
	if d.clickhouse != nil {
		errs = append(errs, d.clickhouse.Stop(ctx))
	}
	if d.postgres != nil {
		errs = append(errs, d.postgres.Stop(ctx))
	}
	return errors.Join(errs...)
}

// run keeps the bridge and the screen going until play is over or something fails.
func (d *demo) run(ctx context.Context) error {
	live, stop := context.WithCancel(ctx)
	defer stop()
	group, inner := errgroup.WithContext(live)
	work := newWorkload(d.shop, d.opts.Rate)
	probe := newProber(work, d.users)
	group.Go(func() error { return bridge.New(d.cfg, d.log, bridge.Options{Build: d.opts.Build}).Run(inner) })
	group.Go(func() error { return d.watchServers(inner) })
	group.Go(func() error {
		defer stop()
		return d.play(inner, work, probe)
	})
	err := group.Wait()
	d.screen.end()
	if ctx.Err() != nil && !errors.Is(err, errDiffers) {
		d.screen.say("\nInterrupted, stopping.") // any error now is a consequence
		return nil
	}
	return d.blame(err)
}

// play lets the shop work, for as long as it is to, and then compares.
func (d *demo) play(ctx context.Context, work *workload, probe *prober) error {
	open, closing := make(chan struct{}), make(chan struct{})
	group, inner := errgroup.WithContext(ctx)
	group.Go(func() error { return work.run(inner, closing) })
	group.Go(func() error { return probe.run(inner, open, closing) })
	group.Go(func() error { return newMeter(d, work, probe).run(inner, closing) })
	group.Go(func() error {
		defer close(closing)
		if err := d.awaitViews(inner); err != nil {
			return err
		}
		close(open)
		return d.awaitClosing(inner)
	})
	if err := group.Wait(); err != nil {
		return err
	}
	d.screen.end()
	return d.compare(ctx)
}

// awaitViews returns when every table and aggregate has its view, and a bridge that goes on has caught up with the start.
func (d *demo) awaitViews(ctx context.Context) error {
	begin, err := d.shop.position(ctx)
	if err != nil {
		return err
	}
	aggregates := 0
	for _, t := range d.cfg.Tables {
		aggregates += len(t.Aggregates)
	}
	_, err = d.marks.await(ctx, func(m splitdate.Mark) bool {
		return len(m.Tables) == len(d.cfg.Tables) && len(m.Aggregates) == aggregates && m.LSN >= begin
	})
	return err
}

// awaitClosing returns nil when the demo has run its time.
func (d *demo) awaitClosing(ctx context.Context) error {
	var over <-chan time.Time
	if d.opts.For > 0 {
		timer := time.NewTimer(d.opts.For)
		defer timer.Stop()
		over = timer.C
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-over:
		return nil
	}
}

// watchServers ends the demo when a server does.
func (d *demo) watchServers(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case <-d.postgres.Done():
	case <-d.clickhouse.Done():
	}
	return d.serverEnded()
}

// serverEnded returns an error if one of the servers is gone.
func (d *demo) serverEnded() error {
	for title, server := range map[string]interface {
		Done() <-chan struct{}
		Dir() string
	}{"PostgreSQL": d.postgres, "ClickHouse": d.clickhouse} {
		select {
		case <-server.Done():
			return fault.New("see the server's log in that folder; with --keep it stays", "%s in %s has ended", title, server.Dir())
		default:
		}
	}
	return nil
}

// blamePatience is how long a broken connection waits to be explained by the end of its server.
const blamePatience = time.Second

// blame explains an error by the end of a server, where that is its cause.
func (d *demo) blame(err error) error {
	if err == nil || errors.Is(err, errDiffers) {
		return err
	}
	select {
	case <-d.postgres.Done():
	case <-d.clickhouse.Done():
	case <-time.After(blamePatience):
	}
	if ended := d.serverEnded(); ended != nil {
		return ended
	}
	return fmt.Errorf("demo: %w", err)
}

func (d *demo) places() places {
	return places{
		Postgres: d.postgres.DSN(database), PostgresVersion: engine.DefaultPostgres,
		ClickHouse: d.clickhouse.DSN(database), ClickHouseVersion: engine.DefaultClickHouse,
		HTTP:   fmt.Sprintf("http://127.0.0.1:%d", d.clickhouse.HTTPPort()),
		Page:   "http://" + d.cfg.HTTP.Listen,
		Config: d.folder.configPath(), Log: d.folder.logPath(),
		Window: spoken(d.opts.RTWindow), For: spoken(d.opts.For), Rate: d.opts.Rate,
	}
}

// spoken is 1m where a Duration prints 1m0s, and nothing for 0.
func spoken(d time.Duration) string {
	if d == 0 {
		return ""
	}
	text := d.String()
	for _, zero := range []string{"m0s", "h0m"} {
		if strings.HasSuffix(text, zero) {
			text = text[:len(text)-2]
		}
	}
	return text
}
