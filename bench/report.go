package bench

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"emily/bench/roofline"
)

// Report is what a run measured; it is also its JSON.
type Report struct {
	Environment Environment `json:"environment"`
	Results     []Result    `json:"results"`
	// Notes belong under the table of a tier, by its name.
	Notes map[string][]string `json:"notes,omitempty"`
}

// Environment says where and how a report came about.
type Environment struct {
	Date string `json:"date"` // 2006-01-02 15:04
	Host
	Go            string          `json:"go"`
	Emily         string          `json:"emily"`
	Threads       int             `json:"threads"`
	NewTokens     int             `json:"new_tokens"` // of tier 3 and the addendum
	Smoke         bool            `json:"smoke"`
	RandomWeights bool            `json:"random_weights"`
	Partial       string          `json:"partial,omitempty"` // where a report ends that is not of a whole run
	Peers         []Peer          `json:"peers"`
	Limits        roofline.Limits `json:"limits"`
}

// Peer is another system of a report.
type Peer struct {
	Lane     string `json:"lane"`
	Version  string `json:"version,omitempty"`
	Settings string `json:"settings,omitempty"`
	Absent   string `json:"absent,omitempty"` // why it did not run
}

// Result is one row of one lane.
type Result struct {
	Tier    string `json:"tier"` // "1" to "5", "addendum"
	Case    string `json:"case"` // "add 256", "Qwen3-0.6B decode"
	Lane    string `json:"lane"` // "exla", "emily-fuse"
	Backend string `json:"backend"`
	DType   string `json:"dtype"`
	// Value is the mean of the samples: the time of a call in us, or tokens over that time.
	Value   *float64  `json:"value"` // null where nothing was measured
	Unit    string    `json:"unit"`
	Min     *float64  `json:"min"`
	Max     *float64  `json:"max"`
	Samples []float64 `json:"samples"`
	// Roofline is the share of the speed that the measured limits allow.
	Roofline *float64 `json:"roofline"`
	// PeakRSS is the largest resident memory of the lane's process, mapped weights included, in bytes.
	PeakRSS int64 `json:"peak_rss"`
	// Error is why there is no value: "-: ..." for a lane that is absent or does
	// not do the tier, "exit 137: ..." for one that was killed, "WRONG: ..." for
	// one whose output is not the first lane's, else "ERR: ...".
	Error string `json:"error,omitempty"`
}

// Wrong reports whether the lane's output was not the first lane's.
func (r Result) Wrong() bool { return strings.HasPrefix(r.Error, "WRONG") }

// mark is what a table shows instead of a value.
func (r Result) mark() string {
	mark, _, _ := strings.Cut(r.Error, ":")
	return mark
}

func (r Result) emily() bool { return strings.HasPrefix(r.Lane, "emily-") }

// better reports whether r is faster than s.
func (r Result) better(s Result) bool {
	if r.Unit == tokensRate {
		return *r.Value > *s.Value
	}
	return *r.Value < *s.Value
}

// Wrong returns the results of lanes that disagree.
func (r *Report) Wrong() []Result {
	var wrong []Result
	for _, x := range r.Results {
		if x.Wrong() {
			wrong = append(wrong, x)
		}
	}
	return wrong
}

// WriteJSON writes the report as JSON.
func (r *Report) WriteJSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(r)
}

// ReadReport reads what WriteJSON wrote.
func ReadReport(r io.Reader) (*Report, error) {
	report := &Report{}
	if err := json.NewDecoder(r).Decode(report); err != nil {
		return nil, fmt.Errorf("this is no report of emily bench: %w", err)
	}
	if len(report.Results) == 0 {
		return nil, fmt.Errorf("the report has no results")
	}
	return report, nil
}

func (r *Report) note(tier, format string, args ...any) {
	if r.Notes == nil {
		r.Notes = map[string][]string{}
	}
	line := fmt.Sprintf(format, args...)
	for _, known := range r.Notes[tier] {
		if known == line {
			return
		}
	}
	r.Notes[tier] = append(r.Notes[tier], line)
}
