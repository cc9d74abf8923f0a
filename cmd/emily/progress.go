package main

import (
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"emily/loader/hub"
)

// progress shows downloads: bars on a terminal, a line now and then elsewhere.
type progress interface {
	hub.Progress
	// started reports whether anything was to be transferred.
	started() bool
	// close ends the display.
	close()
}

func newProgress(w io.Writer, quiet bool) progress {
	switch {
	case quiet:
		w = io.Discard
	case isTerminal(w):
		return &bars{w: w, files: make(map[string]*bar), total: meter{now: time.Now}}
	}
	return &lines{w: w, total: meter{now: time.Now}, every: 10 * time.Second}
}

// lines writes a line about the whole every few seconds.
type lines struct {
	w     io.Writer
	total meter
	every time.Duration

	mu   sync.Mutex
	stop chan struct{}
	done sync.WaitGroup
}

// Begin starts the lines with the first transfer.
func (l *lines) Begin(_ int, size int64) {
	l.total.extend(size, 0)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.stop != nil {
		return
	}
	l.stop = make(chan struct{})
	l.done.Go(func() {
		tick := time.NewTicker(l.every)
		defer tick.Stop()
		for {
			select {
			case <-l.stop:
				return
			case <-tick.C:
				l.Note("downloaded " + l.total.String())
			}
		}
	})
}

func (l *lines) Start(_ string, _, have int64) { l.total.extend(0, have) }
func (l *lines) Add(_ string, bytes int64)     { l.total.add(bytes) }
func (l *lines) Done(string)                   {}

func (l *lines) Note(line string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	fmt.Fprintln(l.w, line)
}

func (l *lines) started() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.stop != nil
}

func (l *lines) close() {
	if !l.started() {
		return
	}
	close(l.stop)
	l.done.Wait()
	l.Note(l.total.summary())
}

// bars has a bar for each file that is being transferred, and one for all.
type bars struct {
	w     io.Writer
	total meter

	mu    sync.Mutex
	mpb   *mpb.Progress
	whole *mpb.Bar
	files map[string]*bar
}

// bar is a file's bar and what it shows.
type bar struct {
	*mpb.Bar
	meter
}

// Begin makes the bar of the whole, or longer.
func (b *bars) Begin(_ int, size int64) {
	b.total.extend(size, 0)
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.mpb == nil {
		b.mpb = mpb.New(mpb.WithOutput(b.w), mpb.WithAutoRefresh(), mpb.WithWidth(80), mpb.WithRefreshRate(150*time.Millisecond))
		b.whole = b.line("total", &b.total, 1<<20)
	}
	b.whole.SetTotal(b.total.size(), false)
}

// line adds a bar that shows a meter. One that starts without a total ends
// when it is told to: more files may come.
func (b *bars) line(name string, m *meter, priority int) *mpb.Bar {
	bar := b.mpb.New(0, mpb.BarStyle().Lbound("").Rbound("").Filler("━").Tip("━").Padding("─"),
		mpb.BarPriority(priority),
		mpb.PrependDecorators(decor.Name(tail(name, 34), decor.WCSyncSpaceR)),
		mpb.AppendDecorators(decor.Any(func(decor.Statistics) string { return " " + m.String() })))
	bar.SetTotal(m.size(), false)
	return bar
}

// Start adds the bar of a file.
func (b *bars) Start(file string, size, have int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.mpb == nil { // no transfer
		return
	}
	b.total.extend(0, have)
	b.whole.SetCurrent(b.total.current())
	if f := b.files[file]; f != nil {
		f.extend(0, have)
		f.SetCurrent(f.current())
		return
	}
	f := &bar{meter: meter{now: time.Now}}
	f.extend(size, have)
	f.Bar = b.line(file, &f.meter, len(b.files))
	f.SetCurrent(have)
	b.files[file] = f
}

func (b *bars) Add(file string, bytes int64) {
	b.total.add(bytes)
	b.mu.Lock()
	defer b.mu.Unlock()
	if f := b.files[file]; f != nil {
		f.add(bytes)
		f.SetCurrent(f.current())
		b.whole.SetCurrent(b.total.current())
	}
}

// Done takes the bar of a file away.
func (b *bars) Done(file string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if f := b.files[file]; f != nil {
		f.Abort(true)
	}
}

// Note writes a line above the bars.
func (b *bars) Note(line string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.mpb != nil {
		fmt.Fprintln(b.mpb, line)
		return
	}
	fmt.Fprintln(b.w, line)
}

func (b *bars) started() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.mpb != nil
}

// close leaves one line that says what was done.
func (b *bars) close() {
	if !b.started() {
		return
	}
	for _, f := range b.files {
		f.Abort(true)
	}
	b.whole.Abort(true)
	b.mpb.Wait()
	fmt.Fprintln(b.w, b.total.summary())
}

// tail returns the end of a name, which says more than its start.
func tail(name string, limit int) string {
	if r := []rune(name); len(r) > limit {
		return "…" + string(r[len(r)-limit+1:])
	}
	return name
}
