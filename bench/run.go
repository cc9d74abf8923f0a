package bench

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"emily/backend"
	"emily/bench/peers"
	"emily/bench/roofline"
)

// Run measures what the configuration asks for. The report holds errors of
// lanes and missing checkpoints; the error is for a run that could not go on,
// or that ctx ended: then the report, if there is one, holds the rows that were
// finished, and says that it is partial. A Config.Model that cannot be read
// ends the run before anything is measured.
func Run(ctx context.Context, c Config) (*Report, error) {
	if err := c.complete(); err != nil {
		return nil, err
	}
	if c.Model != "" {
		if _, _, err := modelSize(ctx, c.Model); err != nil {
			return nil, err
		}
	}
	if c.Threads == 0 {
		c.Threads = runtime.GOMAXPROCS(0)
	}
	if c.NewTokens == 0 {
		c.NewTokens = defaultTokens
		if c.Smoke {
			c.NewTokens = smokeTokens
		}
	}
	if c.RowLimit == 0 {
		c.RowLimit = defaultRowLimit
	}
	r := &runner{Config: c, tiers: tiers(c.NewTokens, c.scale), peers: map[string]Peer{}}
	r.report.Environment = Environment{
		Date: time.Now().Format("2006-01-02 15:04"), Host: ThisHost(), Go: runtime.Version(), Emily: c.Version,
		Threads: c.Threads, NewTokens: c.NewTokens, Smoke: c.Smoke, RandomWeights: c.RandomWeights,
	}
	r.tell(Progress{Doing: "measuring the machine's limits"})
	var err error
	if r.report.Environment.Limits, err = roofline.Measure(ctx, c.Kernels, c.Threads, c.Limits); err != nil {
		return nil, err
	}
	if err := r.measureDevice(ctx); err != nil {
		return nil, err
	}
	if r.Peer == nil {
		r.Peer = c.installedPeers()
	}
	for i, name := range c.Tiers {
		err := r.tier(ctx, r.tiers[name])
		r.report.Environment.Peers = r.triedPeers()
		r.report.Environment.Partial = partial(c.Tiers, i, err)
		if err == nil && c.Finished != nil {
			err = c.Finished(&r.report)
		}
		if err != nil {
			return &r.report, err
		}
	}
	return &r.report, nil
}

// measureDevice measures the limits of the first backend that is a GPU. It is
// an error that there is none.
func (r *runner) measureDevice(ctx context.Context) error {
	i := slices.IndexFunc(r.Backends, isGPU)
	if i < 0 || r.Device == nil {
		return nil
	}
	device, err := r.Device(r.Backends[i])
	if err != nil {
		return fmt.Errorf("the backend %s cannot be measured: %w", r.Backends[i], err)
	}
	defer device.Close()
	l := &r.report.Environment.Limits
	if l.ReadGPU, err = roofline.MeasureRead(ctx, device, r.Limits); err == nil {
		l.CopyGPU, err = roofline.MeasureCopy(ctx, device, r.Limits)
	}
	if err != nil {
		return fmt.Errorf("measuring the limits of %s: %w", device.Info().Device, err)
	}
	return nil
}

func isGPU(backend string) bool { return backend == "cuda" || backend == "metal" }

// partial says where a report ends before its time, which is after tier i, or
// in it if there is an error; "" for a whole one.
func partial(tiers []string, i int, err error) string {
	place := "after"
	switch {
	case err != nil:
		place = "within"
	case i == len(tiers)-1:
		return ""
	}
	text := fmt.Sprintf("it ends %s tier %s", place, tiers[i])
	if len(tiers) > 1 {
		text += fmt.Sprintf(" (of %s)", strings.Join(tiers, ", "))
	}
	return text
}

// triedPeers are the peers that took part so far, in the order of lanes.
func (r *runner) triedPeers() []Peer {
	var list []Peer
	for _, k := range laneKinds {
		if p, ok := r.peers[k.name]; ok {
			list = append(list, p)
		}
	}
	return list
}

// installedPeers finds the peers' virtual environment. Their scripts are
// written once a peer is asked for, since emily's lanes need no cache.
func (c *Config) installedPeers() func(lane string) (command []string, absent string) {
	scripts := sync.OnceValues(c.writeScripts)
	python := peers.Python(filepath.Join(c.Cache, peersFolder))
	return func(lane string) ([]string, string) {
		dir, err := scripts()
		switch {
		case err != nil:
			return nil, "no script: " + oneLine(err.Error())
		case python == "":
			return nil, "not installed: run " + filepath.Join(dir, "setup")
		}
		return peers.Command(python, dir, lane), ""
	}
}

func (c *Config) writeScripts() (string, error) {
	dir, err := c.cacheFolder(scriptsFolder)
	if err != nil {
		return "", err
	}
	return dir, unusable(peers.Write(dir))
}

type runner struct {
	Config
	tiers  map[string]tier
	report Report
	peers  map[string]Peer // those that were tried
}

// entry is a lane on a backend in a precision: one row of a table.
type entry struct {
	laneKind
	backend, dtype string
}

// entries are the rows of a tier's table.
func (r *runner) entries(t tier) []entry {
	dtypes := r.DTypes
	if t.f32Only {
		dtypes = []string{"f32"}
	}
	var list []entry
	for _, k := range laneKinds {
		if !slices.Contains(r.Lanes, k.name) {
			continue
		}
		own := dtypes
		if k.dtype != "" {
			own = []string{k.dtype}
		}
		for _, b := range k.on(r.Backends) {
			for _, d := range own {
				list = append(list, entry{k, b, d})
			}
		}
	}
	return list
}

// tierRun is a tier under way.
type tierRun struct {
	*runner
	tier
	folder            string // folder of the checkpoint
	stored, parameter int64  // its bytes and number of weights
	reference         map[string]*output
	peerOutputs       []peerOutput
	work              map[string][]roofline.Work
	results           []Result
	done, total       int
	start             time.Time
}

func (r *runner) tier(ctx context.Context, t tier) error {
	run := &tierRun{runner: r, tier: t, reference: map[string]*output{}, work: map[string][]roofline.Work{}, start: time.Now()}
	if r.Runs > 0 {
		run.runs = r.Runs
	}
	if r.Warmup >= 0 {
		run.warmup = r.Warmup
	}
	if r.Smoke {
		run.calls = 1
	}
	entries := r.entries(t)
	if t.model != nil {
		r.tell(Progress{Tier: t.name, Doing: "looking for " + cmp.Or(r.Model, t.model.repo)})
		var err error
		if run.folder, err = r.findModel(ctx, t.model); err == nil {
			run.stored, run.parameter, err = modelSize(ctx, run.folder)
		}
		if err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			run.missing(entries, err)
			return nil
		}
		if _, err := os.Stat(filepath.Join(run.folder, "tokenizer.json")); err != nil && t.cases[0].job.IDs != nil {
			r.report.note(t.name, "The checkpoint has no tokenizer: the ids of the text are fixed.")
		}
	}
	if r.Model != "" && t.model != nil {
		r.report.note(t.name, "The checkpoint is %s.", r.Model)
	}
	run.total = len(entries) * len(t.cases) * (2 + run.runs)
	var err error
	free := int64(math.MaxInt64)
	if _, n, err := Memory(); err == nil && run.model != nil {
		free = n
	}
	for _, group := range run.groups(entries, free) {
		if err = run.group(ctx, group); err != nil {
			break // what is finished stays
		}
	}
	run.notePeers()
	run.finish(entries)
	return err
}

// missing makes rows for a tier without a checkpoint.
func (t *tierRun) missing(entries []entry, err error) {
	t.report.note(t.name, "Not run: %s.", oneLine(err.Error()))
	for _, c := range t.cases {
		for _, e := range entries {
			t.results = append(t.results, t.row(e, c.name, "-: no checkpoint"))
		}
	}
	t.finish(entries)
}

// groups are the lanes that are loaded together: all, if they fit into so many free bytes.
func (t *tierRun) groups(entries []entry, free int64) [][]entry {
	var groups [][]entry
	var all, group int64
	room := free / 10 * 9 // the estimates are rough
	for _, e := range entries {
		need := int64(0)
		if e.refuses(t.name, e.dtype) == "" {
			need = e.memory(t.stored, t.parameter, e.dtype)
		}
		if len(groups) == 0 || t.sequential || group+need > room {
			groups, group = append(groups, nil), 0
		}
		last := len(groups) - 1
		groups[last] = append(groups[last], e)
		group, all = group+need, all+need
	}
	if len(groups) > 1 && !t.sequential {
		t.report.note(t.name, "The lanes ran in %d groups, one after the other: together they need about %s of memory, %s were free.", len(groups), gigabytes(all), gigabytes(free))
	}
	return groups
}

func (t *tierRun) row(e entry, name, failure string) Result {
	return Result{Tier: t.name, Case: name, Lane: e.name, Backend: e.backend, DType: e.dtype, Unit: t.unit, Error: failure}
}

// group runs every case of the tier on lanes that are loaded together.
func (t *tierRun) group(ctx context.Context, entries []entry) error {
	members := t.open(ctx, entries)
	defer func() {
		for _, m := range members {
			m.close()
		}
	}()
	for _, c := range t.cases {
		if err := t.runCase(ctx, c, members); err != nil {
			return err
		}
	}
	return nil
}

func (r *runner) tell(p Progress) {
	if r.Progress != nil {
		r.Progress(p)
	}
}

// step tells what a lane does next, and counts steps that are done.
func (t *tierRun) step(e entry, name, doing string, done int) {
	t.done += done
	p := Progress{Tier: t.name, Case: name, Lane: e.name, Doing: doing, Done: t.done, Total: t.total}
	if t.done > 0 {
		p.Left = time.Since(t.start) * time.Duration(max(0, t.total-t.done)) / time.Duration(t.done)
	}
	t.tell(p)
}

// finish computes shares of the roofline and hands the rows to the report in
// the order of cases, then lanes.
func (t *tierRun) finish(entries []entry) {
	limits := t.report.Environment.Limits
	for i, x := range t.results {
		least := 0.0
		for _, w := range t.work[x.Case] {
			w.BF16 = x.DType == backend.BF16.String()
			if isGPU(x.Backend) {
				least += limits.SecondsOnGPU(w)
			} else {
				least += limits.Seconds(w)
			}
		}
		if x.Value == nil || least == 0 || x.Backend != "cpu" && !isGPU(x.Backend) || x.DType != "f32" && x.DType != "bf16" { // others read fewer bytes than are stored
			continue
		}
		share := least * 1e6 / *x.Value
		if x.Unit == tokensRate {
			share = *x.Value / t.value(least, t.named(x.Case))
		}
		t.results[i].Roofline = &share
	}
	place := func(x Result) int {
		c := slices.IndexFunc(t.cases, func(c benchCase) bool { return c.name == x.Case })
		e := slices.IndexFunc(entries, func(e entry) bool {
			return e.name == x.Lane && (e.peer && len(e.devices) == 0 || e.backend == x.Backend && e.dtype == x.DType)
		})
		return c*len(entries) + e
	}
	slices.SortStableFunc(t.results, func(a, b Result) int { return place(a) - place(b) })
	t.report.Results = append(t.report.Results, t.results...)
}

// named is the tier's case of a name.
func (t tier) named(name string) benchCase {
	i := slices.IndexFunc(t.cases, func(c benchCase) bool { return c.name == name })
	if i < 0 {
		return benchCase{name: name}
	}
	return t.cases[i]
}
