package bench

import (
	"fmt"
	"io"
	"slices"
)

// Comparison is one row of two reports.
type Comparison struct {
	Result         // of the new report
	Before *Result // nil if the old report has no such row
	// Ratio is how much faster the new one is; 0 if one has no value.
	Ratio float64
	// Outside tells that neither report's samples reach the other's: the
	// difference is more than noise.
	Outside bool
}

// Compare holds a report against an older one, row by row.
func Compare(before, after *Report) []Comparison {
	var list []Comparison
	for _, x := range after.Results {
		c := Comparison{Result: x}
		i := slices.IndexFunc(before.Results, func(y Result) bool {
			return y.Tier == x.Tier && y.Case == x.Case && y.Lane == x.Lane && y.Backend == x.Backend && y.DType == x.DType
		})
		if i >= 0 {
			c.Before = &before.Results[i]
			if x.measured() && c.Before.measured() {
				c.Ratio = *c.Before.Value / *x.Value
				if x.Unit == tokensRate {
					c.Ratio = 1 / c.Ratio
				}
				c.Outside = *x.Min > *c.Before.Max || *x.Max < *c.Before.Min
			}
		}
		list = append(list, c)
	}
	return list
}

// WriteComparison writes a table of the rows that at least one report measured.
func WriteComparison(w io.Writer, list []Comparison) error {
	m := &markdown{}
	m.line("## Compared with the older report\n")
	m.header("tier", "case", "lane", "dtype", "before", "now", "speedup", "")
	for _, c := range list {
		before := Result{}
		if c.Before != nil {
			before = *c.Before
		}
		if !c.measured() && !before.measured() {
			continue
		}
		mark := ""
		switch {
		case c.Outside && c.Ratio > 1:
			mark = "faster"
		case c.Outside:
			mark = "SLOWER"
		}
		m.row(c.Tier, c.Case, label(c.Result), c.DType, valueText(before), valueText(c.Result)+" "+c.Unit, times(c.Ratio), mark)
	}
	m.line("\nA row is marked where neither run's samples reach the other's.")
	if _, err := io.WriteString(w, m.String()); err != nil {
		return fmt.Errorf("writing the comparison: %w", err)
	}
	return nil
}
