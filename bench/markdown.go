package bench

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strings"

	"emily/bench/roofline"
)

// WriteMarkdown writes the report with the tables of the original one, and for
// each row its spread, share of the roofline and peak memory.
func (r *Report) WriteMarkdown(w io.Writer) error {
	m := &markdown{report: r}
	m.environment()
	for _, name := range tierNames {
		rows := slices.DeleteFunc(slices.Clone(r.Results), func(x Result) bool { return x.Tier != name })
		if len(rows) == 0 {
			continue
		}
		t := tiers(r.Environment.NewTokens, 1)[name]
		m.line("## %s\n", t.title)
		if name == "1" {
			m.ops(rows)
			m.call(t, t.includes, rows)
		}
		for i, c := range t.cases {
			own := slices.DeleteFunc(slices.Clone(rows), func(x Result) bool { return x.Case != c.name })
			if name == "1" || len(own) == 0 {
				continue
			}
			if i > 0 {
				m.line("### %s\n", c.title)
			}
			m.lanes(t, own)
			m.call(t, firstOf(c.includes, t.includes), own)
		}
		for _, note := range r.Notes[name] {
			m.line("%s\n", note)
		}
	}
	m.line("min and max are those of the samples. roofline is the share of the speed that this machine's measured limits allow: bytes that must be read (weights as stored, inputs, " +
		"outputs, the cache) over its read bandwidth, or operations over its rate in the dtype (medians), whichever takes longer; over 100 %% the data came from the processor's caches. " +
		"memory is the largest resident memory of the lane's process, mapped weights included.")
	_, err := io.WriteString(w, m.String())
	return err
}

// call says what was timed, and what became of rows without a value.
func (m *markdown) call(t tier, includes string, rows []Result) {
	m.line("The timed call: %s.\n", includes)
	if t.calls > 1 && !m.report.Environment.Smoke {
		m.line("A sample is the mean of %d calls without a pause.\n", t.calls)
	}
	m.reasons(rows)
}

type markdown struct {
	strings.Builder
	report *Report
}

func (m *markdown) line(format string, args ...any) { fmt.Fprintf(m, format+"\n", args...) }

// row writes a table's row.
func (m *markdown) row(cells ...string) { m.line("| %s |", strings.Join(cells, " | ")) }

// header writes a table's header.
func (m *markdown) header(cells ...string) {
	m.row(cells...)
	m.line("|%s", strings.Repeat("---|", len(cells)))
}

func (m *markdown) environment() {
	e := m.report.Environment
	m.line("# emily bench\n")
	if e.Partial != "" {
		m.line("**This report is partial: %s.**\n", e.Partial)
	}
	m.header("Field", "Value")
	m.row("date", e.Date)
	m.row("host", e.Name)
	m.row("cpu", fmt.Sprintf("%s, %d cores, %d threads used", e.CPU, e.Cores, e.Threads))
	m.row("memory", bytesText(e.Memory))
	m.row("gpu", e.GPU)
	m.row("os", e.OS)
	m.row("go", e.Go)
	m.row("emily", fmt.Sprintf("%s, %s kernels", e.Emily, e.Limits.Kernels))
	for _, p := range e.Peers {
		if p.Absent != "" {
			m.row(p.Lane, "- ("+p.Absent+")")
			continue
		}
		m.row(p.Lane, strings.Trim(p.Version+"; "+p.Settings, "; "))
	}
	m.row("random weights?", fmt.Sprint(e.RandomWeights))
	m.row("smoke run?", fmt.Sprint(e.Smoke))
	m.line("")
	m.header("Measured limit", "median", "min", "max")
	for _, l := range limitRows(e.Limits) {
		if l.limit == nil {
			m.row(l.name, "-", "-", "-")
			continue
		}
		m.row(l.name, l.text(l.limit.Value), l.text(l.limit.Min), l.text(l.limit.Max))
	}
	m.line("")
}

type limitRow struct {
	name  string
	limit *roofline.Limit
	unit  string
}

func (l limitRow) text(v float64) string { return fmt.Sprintf("%.1f %s", v/1e9, l.unit) }

func limitRows(l roofline.Limits) []limitRow {
	all := fmt.Sprintf("%d threads", l.Threads)
	return []limitRow{
		{"memory read, 1 thread", l.ReadOne, "GB/s"},
		{"memory read, " + all, l.ReadAll, "GB/s"},
		{"multiply-add f32, 1 thread", l.F32One, "GFLOP/s"},
		{"multiply-add f32, " + all, l.F32All, "GFLOP/s"},
		{"dot product bf16, 1 thread", l.BF16One, "GFLOP/s"},
		{"dot product bf16, " + all, l.BF16All, "GFLOP/s"},
		{"dot product int8, 1 thread", l.Int8One, "GOP/s"},
		{"dot product int8, " + all, l.Int8All, "GOP/s"},
		{"GPU memory read", l.ReadGPU, "GB/s"},
		{"copy to GPU", l.CopyGPU, "GB/s"},
	}
}

// label is a lane as a table names it.
func label(x Result) string {
	device := strings.ToUpper(x.Backend)
	if isGPU(x.Backend) {
		device = "GPU"
	}
	return fmt.Sprintf("%s (%s)", x.Lane, device)
}

// ops writes the table of tier 1: a row for each op and size, a column for each lane.
func (m *markdown) ops(rows []Result) {
	var columns []string
	cases := map[string]map[string]Result{}
	var order []string
	for _, x := range rows {
		if !slices.Contains(columns, label(x)) {
			columns = append(columns, label(x))
		}
		if cases[x.Case] == nil {
			cases[x.Case] = map[string]Result{}
			order = append(order, x.Case)
		}
		cases[x.Case][label(x)] = x
	}
	m.line("Ratios are best emily / baseline; <1 means emily is faster.\n")
	head := append([]string{"op", "size"}, columns...)
	for _, b := range baselines {
		head = append(head, "best-emily/"+b)
	}
	m.header(append(head, "best emily lane", "its min - max", "its roofline")...)
	for _, name := range order {
		op, size, _ := strings.Cut(name, " ")
		cells := []string{op, size}
		var list []Result
		for _, c := range columns {
			x, ok := cases[name][c]
			if !ok {
				cells = append(cells, "-")
				continue
			}
			list = append(list, x)
			cells = append(cells, valueText(x))
		}
		best := bestOf(list, Result.emily)
		for _, b := range baselines {
			cells = append(cells, times(ratio(best, named(list, b, ""))))
		}
		if best == nil {
			m.row(append(cells, "-", "-", "-")...)
			continue
		}
		m.row(append(cells, best.Lane, spreadText(*best), share(best.Roofline))...)
	}
	m.line("")
	m.header("lane", "peak memory")
	for _, c := range columns {
		peak := int64(0)
		for _, x := range rows {
			if label(x) == c {
				peak = max(peak, x.PeakRSS)
			}
		}
		m.row(c, bytesText(peak))
	}
	m.line("")
}

// lanes writes the table of a tier of models: a row for each lane.
func (m *markdown) lanes(t tier, rows []Result) {
	addendum := t.name == "addendum"
	head := []string{"lane", t.unit, "min", "max"}
	if addendum {
		head = []string{"lane", "mean tok/s", "min", "max", "speedup vs EMLX"}
	}
	m.header(append(head, "dtype", "roofline", "peak memory")...)
	for _, x := range rows {
		cells := []string{label(x), valueText(x), number(x.Min, x.Unit), number(x.Max, x.Unit)}
		if addendum {
			cells = append(cells, times(ratio(&x, named(rows, "emlx", x.DType))))
		}
		m.row(append(cells, x.DType, share(x.Roofline), bytesText(x.PeakRSS))...)
	}
	m.line("")
	best := bestOf(rows, Result.emily)
	if addendum && best != nil {
		m.line("Best emily lane: %s (%s) at %s tok/s.\n", best.Lane, best.DType, valueText(*best))
	}
	for _, k := range laneKinds {
		baseline := slices.Contains(baselines, k.name)
		if !k.peer || !baseline && !named(rows, k.name, "").measured() {
			continue
		}
		name := k.name
		if baseline {
			name = strings.ToUpper(k.name)
		}
		m.line("best emily lane vs %s (>1 = emily faster): %s\n", name, m.versus(rows, k.name))
	}
}

// versus is how much faster the best emily lane is than a peer in its best
// precision and, where the lanes have several, in each of the peer's by emily in the same.
func (m *markdown) versus(rows []Result, lane string) string {
	theirs := bestOf(rows, func(x Result) bool { return x.Lane == lane })
	text := times(ratio(bestOf(rows, Result.emily), theirs))
	var same []string
	for _, dtype := range []string{"f32", "bf16"} {
		own := bestOf(rows, func(x Result) bool { return x.emily() && x.DType == dtype })
		if r := ratio(own, named(rows, lane, dtype)); r > 0 {
			same = append(same, fmt.Sprintf("%s in %s", times(r), dtype))
		}
	}
	if several(rows) && len(same) > 0 {
		text += " (" + strings.Join(same, ", ") + ")"
	}
	return text
}

// several reports whether emily's lanes ran in more than one precision.
func several(rows []Result) bool {
	return slices.ContainsFunc(rows, func(x Result) bool {
		return x.emily() && x.measured() && slices.ContainsFunc(rows, func(y Result) bool { return y.emily() && y.measured() && y.DType != x.DType })
	})
}

// reasons explains the marks of a table, each reason once for a lane.
func (m *markdown) reasons(rows []Result) {
	count := map[string]int{}
	var order []string
	for _, x := range rows {
		if x.Error == "" {
			continue
		}
		key := fmt.Sprintf("* %s: %s", label(x), x.Error)
		if x.Wrong() {
			key = fmt.Sprintf("* %s, %s: %s", label(x), x.Case, x.Error)
		}
		if count[key]++; count[key] == 1 {
			order = append(order, key)
		}
	}
	for _, key := range order {
		if n := count[key]; n > 1 {
			m.line("%s (%d rows)", key, n)
		} else {
			m.line("%s", key)
		}
	}
	if len(order) > 0 {
		m.line("")
	}
}

// measured reports whether there is a value; a nil result has none.
func (r *Result) measured() bool { return r != nil && r.Value != nil }

// bestOf is the fastest of some rows, nil if none of them was measured.
func bestOf(rows []Result, some func(Result) bool) *Result {
	var best *Result
	for i, x := range rows {
		if some(x) && x.Value != nil && (best == nil || x.better(*best)) {
			best = &rows[i]
		}
	}
	return best
}

// named is the row of a lane that was measured, in a precision or in any.
func named(rows []Result, lane, dtype string) *Result {
	for i, x := range rows {
		if x.Lane == lane && (dtype == "" || x.DType == dtype) && x.Value != nil {
			return &rows[i]
		}
	}
	return nil
}

// ratio is time over time in tier 1, as in the original report, and elsewhere
// how much faster a is than b. It is 0 if one of them was not measured.
func ratio(a, b *Result) float64 {
	switch {
	case !a.measured() || !b.measured():
		return 0
	case a.Unit == tokensRate || a.Tier == "1":
		return *a.Value / *b.Value
	}
	return *b.Value / *a.Value
}

func times(r float64) string {
	if r == 0 {
		return "—"
	}
	return fmt.Sprintf("%.2fx", r)
}

func valueText(x Result) string {
	if x.Value == nil {
		return firstOf(x.mark(), "-")
	}
	return number(x.Value, x.Unit)
}

func number(v *float64, unit string) string {
	switch {
	case v == nil:
		return "-"
	case unit == tokensRate:
		return fmt.Sprintf("%.2f", *v)
	}
	return fmt.Sprintf("%.1f", *v)
}

func spreadText(x Result) string { return number(x.Min, x.Unit) + " - " + number(x.Max, x.Unit) }

func share(v *float64) string {
	if v == nil {
		return "-"
	}
	return fmt.Sprintf("%.0f %%", math.Round(100**v))
}

func bytesText(n int64) string {
	switch {
	case n == 0:
		return "-"
	case n >= 1e9:
		return gigabytes(n)
	}
	return fmt.Sprintf("%.0f MB", float64(n)/1e6)
}
