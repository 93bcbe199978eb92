package rig

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"github.com/tidemark-db/tidemark/internal/engine"
)

// Page is a page in a real browser.
type Page struct {
	ctx context.Context
	t   testing.TB

	mu       sync.Mutex
	said     []string // errors and warnings of the console, exceptions, requests that failed
	requests []string
}

// Browse opens a page in a headless Chromium, which Cleanup ends.
func Browse(t testing.TB, url string) *Page {
	t.Helper()
	browser, err := engine.FindChromium(t.Context(), os.Stderr)
	if err != nil {
		t.Fatal(err)
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(browser.Path), chromedp.Env(browser.Env...), chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.Flag("headless", "shell"), chromedp.Flag("no-zygote", true), chromedp.Flag("disable-quic", true),
		chromedp.UserDataDir(t.TempDir()), chromedp.WSURLReadTimeout(waitPatience),
	)
	allocated, cancel := chromedp.NewExecAllocator(t.Context(), options...)
	t.Cleanup(cancel)
	p := &Page{t: t}
	p.ctx, cancel = chromedp.NewContext(allocated, chromedp.WithListener(p.listen))
	t.Cleanup(cancel)
	p.must(chromedp.Do(p.ctx, chromedp.Navigate(url)))
	return p
}

func (p *Page) listen(event any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch e := event.(type) {
	case *runtime.EventConsoleAPICalled:
		var words []string
		for _, a := range e.Args {
			words = append(words, string(a.Value), a.Description)
		}
		p.said = append(p.said, fmt.Sprintf("console.%s: %s", e.Type, strings.Join(words, " ")))
	case *runtime.EventExceptionThrown:
		p.said = append(p.said, "exception: "+e.ExceptionDetails.Text)
	case *log.EventEntryAdded:
		p.said = append(p.said, fmt.Sprintf("%s: %s %s", e.Entry.Level, e.Entry.Text, e.Entry.URL))
	case *network.EventRequestWillBeSent:
		p.requests = append(p.requests, e.Request.URL)
	}
}

func (p *Page) must(err error) {
	p.t.Helper()
	if err != nil {
		p.t.Fatalf("browser: %v; the console: %v", err, p.Said())
	}
}

// Said is what the console says, exceptions and failed requests included.
func (p *Page) Said() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.said)
}

// Requests are the addresses that the page has asked for.
func (p *Page) Requests() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.requests)
}

// Text is what a person reads in the first element that a selector finds, "" where there is none.
func (p *Page) Text(selector string) string {
	p.t.Helper()
	text, err := chromedp.Run(p.ctx, chromedp.Evaluate[string](fmt.Sprintf("(document.querySelector(%q) || {innerText: ''}).innerText", selector)))
	p.must(err)
	return text
}

// Number evaluates an expression.
func (p *Page) Number(expression string) int {
	p.t.Helper()
	n, err := chromedp.Run(p.ctx, chromedp.Evaluate[int](expression))
	p.must(err)
	return n
}

// Screen makes the page as wide as a device, in its light or dark colours.
func (p *Page) Screen(width int64, colours string) {
	p.t.Helper()
	p.must(chromedp.Do(p.ctx, chromedp.EmulateViewport(width, 900)))
	_, err := chromedp.Call(p.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: colours}},
	})
	p.must(err)
}

// Screenshot returns the whole page as a PNG.
func (p *Page) Screenshot() []byte {
	p.t.Helper()
	png, err := chromedp.Run(p.ctx, chromedp.FullScreenshot(100))
	p.must(err)
	return png
}
