package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"time"

	"emily/backend"
	"emily/bench/peers"
	"emily/bench/roofline"
)

// Run measures what the configuration asks for. The report holds errors of
// lanes and missing checkpoints; the error is for a run that could not go on.
func Run(ctx context.Context, c Config) (*Report, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	if c.Threads == 0 {
		c.Threads = runtime.GOMAXPROCS(0)
	}
	if c.NewTokens == 0 {
		c.NewTokens = defaultTokens
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
	if r.Peer == nil {
		if r.Peer, err = installedPeers(c.Cache); err != nil {
			return nil, err
		}
	}
	for _, name := range c.Tiers {
		if err := r.tier(ctx, r.tiers[name]); err != nil {
			return nil, err
		}
	}
	for _, k := range laneKinds {
		if p, ok := r.peers[k.name]; ok {
			r.report.Environment.Peers = append(r.report.Environment.Peers, p)
		}
	}
	return &r.report, nil
}

// installedPeers finds the peers' virtual environment, and writes their scripts.
func installedPeers(cache string) (func(string) ([]string, string), error) {
	scripts := filepath.Join(cache, scriptsFolder)
	if err := peers.Write(scripts); err != nil {
		return nil, err
	}
	python := peers.Python(filepath.Join(cache, peersFolder))
	return func(lane string) ([]string, string) {
		if python == "" {
			return nil, "not installed: run " + filepath.Join(scripts, "setup")
		}
		return peers.Command(python, scripts, lane), ""
	}, nil
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
		backends, own := r.Backends, dtypes
		if k.peer {
			backends = []string{"cpu"}
		}
		if k.dtype != "" {
			own = []string{k.dtype}
		}
		for _, b := range backends {
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
		r.tell(Progress{Tier: t.name, Doing: "looking for " + t.model.repo})
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
	for _, group := range run.groups(entries) {
		if err := run.group(ctx, group); err != nil {
			return err
		}
	}
	run.notePeers()
	run.finish(entries)
	return nil
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

// groups are the lanes that are loaded together: all, if they fit into memory.
func (t *tierRun) groups(entries []entry) [][]entry {
	need := int64(0)
	for _, e := range entries {
		need += e.memory(t.stored, t.parameter, e.dtype)
	}
	_, free, err := Memory()
	if !t.sequential && (err != nil || t.tier.model == nil || need < free) {
		return [][]entry{entries}
	}
	if !t.sequential {
		t.report.note(t.name, "The lanes ran one after the other: together they need about %s of memory, %s were free.", gigabytes(need), gigabytes(free))
	}
	var each [][]entry
	for _, e := range entries {
		each = append(each, []entry{e})
	}
	return each
}

func (t *tierRun) row(e entry, name, failure string) Result {
	return Result{Tier: t.name, Case: name, Lane: e.name, Backend: e.backend, DType: e.dtype, Unit: t.unit, Error: failure}
}

// member is a lane that takes part in a group.
type member struct {
	entry
	process *process // nil once it has failed
	failure string   // why
	results []int    // its rows
}

// group runs every case of the tier on lanes that are loaded together.
func (t *tierRun) group(ctx context.Context, entries []entry) error {
	var members []*member
	defer func() {
		for _, m := range members {
			m.close()
		}
	}()
	for _, e := range entries {
		members = append(members, t.open(ctx, e))
	}
	for _, c := range t.cases {
		if err := t.runCase(ctx, c, members); err != nil {
			return err
		}
	}
	for _, m := range members {
		if m.process == nil {
			continue
		}
		peak := m.process.peakRSS()
		for _, i := range m.results {
			if t.results[i].Value != nil { // a lane that did nothing says nothing
				t.results[i].PeakRSS = peak
			}
		}
	}
	return nil
}

// open starts a lane's process, which then waits for its turn.
func (t *tierRun) open(ctx context.Context, e entry) *member {
	m := &member{entry: e}
	command, absent := t.command(e)
	if absent != "" {
		m.failure = "-: " + absent
		t.peers[e.name] = Peer{Lane: e.name, Absent: absent}
		return m
	}
	if _, free, err := Memory(); err == nil && t.folder != "" {
		if need := e.memory(t.stored, t.parameter, e.dtype); need > free {
			m.failure = fmt.Sprintf("ERR: does not fit: it needs about %s of memory, %s are free", gigabytes(need), gigabytes(free))
			return m
		}
	}
	t.step(e, "", "starting", 0)
	p, err := startProcess(ctx, command, threadVariables(t.Threads))
	if err != nil {
		m.failure = failure(err)
		return m
	}
	if e.peer {
		t.peers[e.name] = Peer{Lane: e.name, Version: p.Version, Settings: p.Settings, Absent: p.Absent}
	}
	if p.Absent != "" {
		p.close()
		m.failure = "-: " + p.Absent
		return m
	}
	if p.Device != "" {
		m.backend = strings.ToLower(p.Device)
	}
	m.process = p
	pause(p.cmd.Process)
	return m
}

// command is how a lane is started, or why it cannot be.
func (t *tierRun) command(e entry) (command []string, absent string) {
	if e.peer {
		return t.Peer(e.name)
	}
	return t.Self(strings.TrimPrefix(e.name, "emily-"), e.backend), ""
}

// threadVariables give every library the processors that emily has.
func threadVariables(n int) []string {
	var env []string
	for _, name := range []string{"OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "EMILY_BENCH_THREADS"} {
		env = append(env, fmt.Sprintf("%s=%d", name, n))
	}
	return append(env, "HF_HUB_OFFLINE=1", "TRANSFORMERS_VERBOSITY=error", "TOKENIZERS_PARALLELISM=false")
}

// turn lets a lane work on one request.
func (m *member) turn(ctx context.Context, r request) (reply, time.Duration, error) {
	const settle = 2 * time.Millisecond // a process that was stopped needs a moment
	resume(m.process.cmd.Process)
	time.Sleep(settle)
	answer, elapsed, err := m.process.ask(ctx, r)
	if err != nil {
		m.close()
		m.failure = failure(err)
		return answer, elapsed, err
	}
	pause(m.process.cmd.Process)
	return answer, elapsed, nil
}

func (m *member) close() {
	if m.process != nil {
		m.process.close()
		m.process = nil
	}
}

// failure turns an error into the text of a result.
func failure(err error) string {
	var exit *exitError
	if errors.As(err, &exit) {
		text := fmt.Sprintf("exit %d: %s", exit.code, exit.last)
		if exit.code == 137 {
			text = "exit 137: killed, most likely for memory"
		}
		return oneLine(text)
	}
	return "ERR: " + oneLine(err.Error())
}

// terminalCode is a colour or the like in what a program prints.
var terminalCode = regexp.MustCompile("\x1b\\[[0-9;]*[A-Za-z]")

// oneLine makes a message fit for a line of a table or list.
func oneLine(s string) string {
	return strings.Join(strings.Fields(terminalCode.ReplaceAllString(s, "")), " ")
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
			least += limits.Seconds(w)
		}
		if x.Value == nil || least == 0 || x.Backend != "cpu" {
			continue
		}
		share := least * 1e6 / *x.Value
		if x.Unit == tokensRate {
			share = *x.Value / t.value(least, t.newTokens())
		}
		t.results[i].Roofline = &share
	}
	place := func(x Result) int {
		c := slices.IndexFunc(t.cases, func(c benchCase) bool { return c.name == x.Case })
		e := slices.IndexFunc(entries, func(e entry) bool {
			return e.name == x.Lane && (e.peer || e.backend == x.Backend && e.dtype == x.DType)
		})
		return c*len(entries) + e
	}
	slices.SortStableFunc(t.results, func(a, b Result) int { return place(a) - place(b) })
	t.report.Results = append(t.report.Results, t.results...)
}

// newTokens is what a rate counts.
func (t tier) newTokens() int { return t.cases[0].job.NewTokens }
