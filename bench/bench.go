// Package bench reproduces a report of five tiers of work, and of a larger
// model, for the machine it runs on: emily's lanes beside other systems, each
// in a process of its own, in turns, on the same inputs and by the same clock.
package bench

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"emily/backend"
	"emily/backend/cpu/kernel"
	"emily/bench/roofline"
)

// Config says what to run. Empty lists mean everything.
type Config struct {
	Tiers    []string // "1" to "5", "addendum", "all"
	Lanes    []string // "exla", "emily-fuse" or "fuse"...
	Backends []string // of emily's lanes; empty means "cpu"
	DTypes   []string // precision of activations, "f32" and "bf16"; empty means "f32"
	// Runs and Warmup are the number of timed samples and of calls before them;
	// negative means the tier's own.
	Runs, Warmup int
	// NewTokens is the length of generated texts of tier 3 and the addendum; 0
	// means 48, or 8 in a smoke run.
	NewTokens int
	// Model replaces the checkpoint of the only tier that is run.
	Model string
	// RandomWeights makes checkpoints from the real configurations.
	RandomWeights bool
	// Smoke runs everything once, without the addendum and, unless it is named,
	// without torch-compile, which compiles for minutes.
	Smoke   bool
	Threads int // 0 means one for each processor
	// RowLimit is how long the calls of a row may take, first ones included; 0 means 5 minutes.
	RowLimit time.Duration

	Version string      // emily's
	Cache   string      // folder for random weights and peers, as of DefaultCache; "" if there is none
	Kernels *kernel.Set // measures the limits
	Limits  roofline.Options
	// Device opens a backend other than the CPU, to measure its limits; nil means not to.
	Device func(backend string) (backend.Backend, error)
	// Self is the command of one of emily's lanes: a process that calls Serve.
	Self func(lane, backend string) []string
	// Peer is the command of a peer, or why there is none. Nil means the scripts
	// of package peers in the virtual environment that their setup made.
	Peer func(lane string) (command []string, absent string)
	// Progress, if not nil, is told what runs.
	Progress func(Progress)
	// Finished, if not nil, is told of the report after each tier. Its error ends the run.
	Finished func(*Report) error

	scale int // divides the sizes of tier 1 and of the long prompt, in tests
}

// Progress is what runs and how far its tier is.
type Progress struct {
	Tier, Case, Lane, Doing string
	Done, Total             int           // steps of the tier
	Left                    time.Duration // in the tier, 0 if unknown
}

// laneKind is a lane by name.
type laneKind struct {
	name  string
	peer  bool
	dtype string // of a lane that has its own, whatever is asked for
	// copies is how often a peer holds the weights in its dtype; those of
	// emily's lanes stay in the mapped file.
	copies float64
	// tiers and dtypes are what a peer's script does, so that it need not be
	// started to say that it does not; none means all.
	tiers, dtypes []string
	// devices are the backends that a peer's script can be told to use; none
	// means that the peer decides, as a rule for the CPU.
	devices []string
}

var (
	generates = []string{"3", "addendum"}
	f32       = []string{"f32"}
	cpuOrCUDA = []string{"cpu", "cuda"}
)

var laneKinds = []laneKind{
	{name: "exla", peer: true, copies: 2},
	{name: "emlx", peer: true, copies: 1, tiers: []string{"1", "2", "3", "4", "addendum"}},
	{name: "emily-eager"}, {name: "emily-native"}, {name: "emily-fuse"},
	{name: "torch", peer: true, copies: 1, devices: cpuOrCUDA},
	{name: "torch-compile", peer: true, copies: 1, devices: cpuOrCUDA},
	{name: "llama.cpp", peer: true, dtype: "bf16", tiers: generates},
	{name: "llama.cpp-q8_0", peer: true, dtype: "q8_0", tiers: generates},
	{name: "onnxruntime", peer: true, copies: 2, tiers: []string{"2", "4"}, dtypes: f32},
	{name: "onnxruntime-int8", peer: true, dtype: "int8", copies: 1, tiers: []string{"2", "4"}},
	{name: "ctranslate2", peer: true, copies: 1, tiers: []string{"5"}, dtypes: f32},
	{name: "ctranslate2-int8", peer: true, dtype: "int8", copies: 1, tiers: []string{"5"}},
}

// on are the backends, of those of the run, that a lane has rows for.
func (k laneKind) on(backends []string) []string {
	if !k.peer {
		return backends
	}
	var list []string
	for _, b := range backends {
		if slices.Contains(k.devices, b) {
			list = append(list, b)
		}
	}
	if list == nil {
		return []string{"cpu"}
	}
	return list
}

// refuses says why a lane does not do a tier in a precision, "" if it does.
func (k laneKind) refuses(tier, dtype string) string {
	switch {
	case len(k.tiers) > 0 && !slices.Contains(k.tiers, tier):
		return "no tier " + tier
	case len(k.dtypes) > 0 && !slices.Contains(k.dtypes, dtype):
		return strings.Join(k.dtypes, ", ") + " only"
	}
	return ""
}

// baselines are the lanes that the report compares emily with.
var baselines = []string{"exla", "emlx"}

// LaneNames are the names that Config.Lanes may have.
func LaneNames() []string {
	var names []string
	for _, k := range laneKinds {
		names = append(names, k.name)
	}
	return names
}

// memory is what the lane takes beyond its results, for weights of so many stored bytes.
func (k laneKind) memory(stored, parameters int64, dtype string) int64 {
	const program = 300 << 20
	size := int64(4)
	if dtype == "bf16" {
		size = 2
	}
	return program + stored + int64(k.copies*float64(parameters*size))
}

// UsageError is a Config that makes no sense.
type UsageError struct{ message string }

func (e *UsageError) Error() string { return e.message }

func usagef(format string, args ...any) error { return &UsageError{fmt.Sprintf(format, args...)} }

// unique returns the texts without those that were there before.
func unique(texts []string) (list []string) {
	for _, s := range texts {
		if !slices.Contains(list, s) {
			list = append(list, s)
		}
	}
	return list
}

// Check returns the UsageError that Run would, without running anything.
func (c Config) Check() error { return c.complete() }

// complete checks the configuration and fills in what it leaves open.
func (c *Config) complete() error {
	var err error
	if c.Tiers, err = choose("tier", c.Tiers, tierNames, func(s string) string { return s }); err != nil {
		return err
	}
	everyLane := len(c.Lanes) == 0 || slices.Contains(c.Lanes, "all")
	if c.Lanes, err = choose("lane", c.Lanes, LaneNames(), func(s string) string {
		if slices.Contains(LaneNames(), "emily-"+s) {
			return "emily-" + s
		}
		return s
	}); err != nil {
		return err
	}
	if c.Smoke {
		if everyLane {
			c.Lanes = slices.DeleteFunc(c.Lanes, func(l string) bool { return l == "torch-compile" })
		}
		c.Tiers = slices.DeleteFunc(c.Tiers, func(t string) bool { return t == "addendum" })
		c.Runs, c.Warmup = 1, 0
	}
	if len(c.Backends) == 0 {
		c.Backends = []string{"cpu"}
	}
	if len(c.DTypes) == 0 {
		c.DTypes = []string{"f32"}
	}
	c.Backends, c.DTypes = unique(c.Backends), unique(c.DTypes)
	for _, d := range c.DTypes {
		if d != "f32" && d != "bf16" {
			return usagef("there is no dtype %q: choose f32 or bf16", d)
		}
	}
	switch {
	case len(c.Tiers) == 0:
		return usagef("a smoke run leaves the addendum out: name another tier, or make no smoke run")
	case c.Runs == 0:
		return usagef("at least one run is needed to measure something")
	case c.RowLimit < 0:
		return usagef("a row needs time, got %s", c.RowLimit)
	case c.NewTokens < 0:
		return usagef("new tokens must be 1 or more, got %d", c.NewTokens)
	case c.Model != "" && c.RandomWeights:
		return usagef("a model was named and random weights are wanted: choose one")
	case c.Model != "" && len(c.Tiers) != 1:
		return usagef("a model serves one tier: name it too")
	case c.Model != "" && tiers(defaultTokens, 1)[c.Tiers[0]].model == nil:
		return usagef("tier %s has no model: leave the model out, or name the tier that it serves", c.Tiers[0])
	}
	return nil
}

// choose checks names against the known ones and returns them in their order,
// each once; none, or "all", means all.
func choose(what string, names, known []string, full func(string) string) ([]string, error) {
	wanted := map[string]bool{}
	for _, list := range names {
		for name := range strings.SplitSeq(list, ",") {
			name = full(strings.TrimSpace(name))
			if name != "all" && !slices.Contains(known, name) {
				return nil, usagef("there is no %s %q: choose %s or all", what, name, strings.Join(known, ", "))
			}
			wanted[name] = true
		}
	}
	var chosen []string
	for _, name := range known {
		if len(wanted) == 0 || wanted["all"] || wanted[name] {
			chosen = append(chosen, name)
		}
	}
	return chosen, nil
}
