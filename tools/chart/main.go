// Command chart draws the figures of emily bench as SVG: how far the lanes are
// apart in each single operation, and for each model the speed of every lane.
//
//	emily bench --out-json figures.json
//	go -C tools/chart run . ../../figures.json ../../docs/bench.svg
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
)

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: chart FIGURES.json OUT.svg")
		os.Exit(2)
	}
	if err := run(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, "chart:", err)
		os.Exit(1)
	}
}

func run(figures, out string) error {
	in, err := os.Open(figures)
	if err != nil {
		return err
	}
	defer in.Close()
	results, err := read(in)
	if err != nil {
		return fmt.Errorf("%s: %w", figures, err)
	}
	f, err := os.Create(out)
	if err != nil {
		return err
	}
	return errors.Join(draw(f, results), f.Close())
}

// result is what the chart needs of a row.
type result struct {
	Tier  string   `json:"tier"`
	Case  string   `json:"case"`
	Lane  string   `json:"lane"`
	DType string   `json:"dtype"`
	Value *float64 `json:"value"`
	Unit  string   `json:"unit"`
}

// read returns the rows that were measured.
func read(r io.Reader) ([]result, error) {
	var report struct{ Results []result }
	if err := json.NewDecoder(r).Decode(&report); err != nil {
		return nil, fmt.Errorf("this is no report of emily bench: %w", err)
	}
	var measured []result
	for _, x := range report.Results {
		if x.Value != nil && *x.Value > 0 {
			measured = append(measured, x)
		}
	}
	if len(measured) == 0 {
		return nil, errors.New("the report holds no figures")
	}
	return measured, nil
}
