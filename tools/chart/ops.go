package main

import (
	"fmt"
	"image/color"
	"math"
	"slices"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	vgdraw "gonum.org/v1/plot/vg/draw"
)

const (
	opHeight    = 0.45 * vg.Centimeter
	legendWidth = 3.2 * vg.Centimeter
)

// marks are how tier 1 shows its lanes, emily's last, so that they lie on top.
var marks = []struct {
	lane  string
	color color.RGBA
	shape vgdraw.GlyphDrawer
}{
	{"exla", color.RGBA{R: 0xe6, G: 0x7e, B: 0x22, A: 0xff}, vgdraw.SquareGlyph{}},
	{"emlx", color.RGBA{R: 0x2e, G: 0x9e, B: 0x5b, A: 0xff}, vgdraw.TriangleGlyph{}},
	{"torch", color.RGBA{R: 0xc0, G: 0x39, B: 0x2b, A: 0xff}, vgdraw.CrossGlyph{}},
	{"torch-compile", color.RGBA{R: 0x8e, G: 0x44, B: 0xad, A: 0xff}, vgdraw.PlusGlyph{}},
	{"emily-eager", color.RGBA{R: 0x9e, G: 0xc9, B: 0xe8, A: 0xff}, vgdraw.CircleGlyph{}},
	{"emily-native", color.RGBA{R: 0x4f, G: 0x9b, B: 0xd1, A: 0xff}, vgdraw.CircleGlyph{}},
	{"emily-fuse", color.RGBA{R: 0x0b, G: 0x3c, B: 0x7a, A: 0xff}, vgdraw.CircleGlyph{}},
}

// opCase is an operation of tier 1 at one size: the time of each lane over that of the fastest.
type opCase struct {
	name  string
	times map[string]float64
}

// opCases are those of the report, in its order.
func opCases(results []result) []opCase {
	var cases []opCase
	for _, r := range results {
		if r.Tier != "1" {
			continue
		}
		i := slices.IndexFunc(cases, func(c opCase) bool { return c.name == r.Case })
		if i < 0 {
			i = len(cases)
			cases = append(cases, opCase{r.Case, map[string]float64{}})
		}
		cases[i].times[r.Lane] = *r.Value
	}
	for _, c := range cases {
		fastest := math.Inf(1)
		for _, t := range c.times {
			fastest = min(fastest, t)
		}
		for lane := range c.times {
			c.times[lane] /= fastest
		}
	}
	return cases
}

// opsHeight is what drawOps needs.
func opsHeight(cases []opCase) vg.Length {
	if len(cases) == 0 {
		return 0
	}
	return vg.Length(len(cases))*opHeight + frame
}

// drawOps draws a row for each case and a mark for each lane, further right the
// slower it is, on a logarithmic scale.
func drawOps(canvas vgdraw.Canvas, cases []opCase) error {
	chart, legend := plot.New(), plot.NewLegend()
	chart.Title.Text, chart.Title.Padding = "Single operations, f32", margin
	chart.X.Label.Text = "time of a call over that of the fastest (1 is best)"
	chart.X.Scale, chart.X.Tick.Marker = plot.LogScale{}, plot.TickerFunc(factors)
	chart.X.Min, chart.X.Max = 0.9, 1
	names := make([]string, len(cases))
	for i, c := range cases {
		names[len(cases)-1-i] = c.name // the first on top
		for _, t := range c.times {
			chart.X.Max = max(chart.X.Max, 1.2*t)
		}
	}
	grid := plotter.NewGrid()
	grid.Vertical.Color, grid.Horizontal.Color = color.Gray{Y: 0xdd}, color.Gray{Y: 0xdd}
	chart.Add(grid)
	for _, m := range marks {
		var points plotter.XYs
		for i, c := range cases {
			if t, ok := c.times[m.lane]; ok {
				points = append(points, plotter.XY{X: t, Y: float64(len(cases) - 1 - i)})
			}
		}
		if len(points) == 0 {
			continue
		}
		scatter, err := plotter.NewScatter(points)
		if err != nil {
			return err
		}
		scatter.GlyphStyle = vgdraw.GlyphStyle{Color: m.color, Radius: vg.Points(3.5), Shape: m.shape}
		chart.Add(scatter)
		legend.Add(m.lane, scatter)
	}
	chart.NominalY(names...)
	legend.Top, legend.Left, legend.Padding = true, true, vg.Points(3)
	chart.Draw(vgdraw.Crop(canvas, 0, -legendWidth, 0, 0))
	legend.Draw(vgdraw.Crop(canvas, canvas.Max.X-canvas.Min.X-legendWidth+margin, 0, 0, -frame/3))
	return nil
}

// factors are the ticks 1, 2, 5, 10, 20 and so on.
func factors(low, high float64) []plot.Tick {
	var ticks []plot.Tick
	for decade := 1.0; decade <= high; decade *= 10 {
		for _, f := range []float64{1, 2, 5} {
			if v := f * decade; v >= low && v <= high {
				ticks = append(ticks, plot.Tick{Value: v, Label: fmt.Sprintf("%g", v)})
			}
		}
	}
	return ticks
}
