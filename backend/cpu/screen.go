package cpu

import (
	"math"

	"emily/backend/cpu/compact"
)

// screening finds the largest of x·wᵀ for one row x without reading all of w:
// an 8-bit copy of w bounds each product from both sides, and only those whose
// upper bound reaches the top-th largest lower bound are computed. The others
// cannot be among the largest, so the result is that of computing all.
//
// The screen may appear between two runs or in the midst of one: each chunk
// says for itself whether it was bounded or computed.
type screening struct {
	*product
	top, chunk, chunks int
	w                  ref
	score              func(f *frame, wk *worker, c int) // computes a chunk without a screen
	x                  func(f *frame) []float32
	area               func(f *frame, c int) best // the largest of a chunk

	near  func(f *frame) []float32 // products with the screen
	floor func(f *frame) []float32 // 1 element: the least that counts
	how   func(f *frame) []float32 // of each chunk: bounded or computed
}

const (
	computed = 0
	bounded  = 1
)

// screen adds the phases that leave the largest of each chunk in its area.
// first is where in the shared scratch there is room.
func (b *binder) screen(s *screening, first int) {
	b.share(first + s.n + 1 + s.chunks)
	part := func(at, n int) func(*frame) []float32 {
		return func(f *frame) []float32 { return f.shared[first+at:][:n] }
	}
	s.near, s.floor, s.how = part(0, s.n), part(s.n, 1), part(s.n+1, s.chunks)
	b.phase(s.chunks, s.bound)
	b.phase(1, s.findFloor)
	b.phase(s.chunks, s.compute)
}

// norm returns a bound of ‖x‖, whose square is summed in f32; each term may
// underflow.
func (s *screening) norm(x []float32) float64 {
	k := float64(len(x))
	square := float64(s.set.Dot(x, x)) + k*0x1p-149
	return math.Sqrt(square) * (1 + (k+4)*0x1p-24)
}

// errorOf returns a bound of what near, the product with the screen's row j,
// is off. The last term covers what underflows; nothing bounds what overflows.
func errorOf(q *compact.Screened, j int, near float32, norm float64) float64 {
	if !(near > -math.MaxFloat32/2 && near < math.MaxFloat32/2) {
		return math.Inf(1)
	}
	return float64(q.Bounds[j])*norm + float64(q.K)*0x1p-140
}

// bound leaves the largest lower bounds of a chunk in its area.
func (s *screening) bound(f *frame, wk *worker, c int) {
	q := s.form.screened()
	if q == nil {
		s.how(f)[c] = computed
		s.score(f, wk, c)
		return
	}
	s.how(f)[c] = bounded
	j0, j1 := c*s.chunk, min((c+1)*s.chunk, s.n)
	x, near := s.x(f), s.near(f)[j0:j1]
	s.set.GemvInt8(near, x, q.Rows[j0*s.k:j1*s.k])
	norm := s.norm(x)
	t := s.area(f, c)
	for i := range near {
		near[i] *= q.Scales[j0+i]
		low := float64(near[i]) - errorOf(q, j0+i, near[i], norm)
		if t.n == s.top && low <= float64(t.values[t.n-1]) {
			continue
		}
		if v := down(low); t.n < s.top || above(v, t.values[t.n-1]) {
			t.insert(v, int32(j0+i))
		}
	}
	t.end()
}

// down returns an f32 that is not larger than v.
func down(v float64) float32 {
	f := float32(v)
	if float64(f) > v {
		f = math.Nextafter32(f, float32(math.Inf(-1)))
	}
	return f
}

// findFloor finds the top-th largest lower bound. NaN, which is a bound of
// nothing, counts as the largest: if it is the floor, all is computed.
func (s *screening) findFloor(f *frame, wk *worker, _ int) {
	scratch := wk.floats(2 * s.top)
	t := best{ids: floatsAsInts(scratch[:s.top]), values: scratch[s.top:]}
	for c := range s.chunks {
		t.merge(s.area(f, c))
	}
	s.floor(f)[0] = t.values[s.top-1]
}

// compute replaces the bounds of a chunk by the products that count.
func (s *screening) compute(f *frame, wk *worker, c int) {
	if s.how(f)[c] == computed {
		return
	}
	q := s.form.screened()
	j0, j1 := c*s.chunk, min((c+1)*s.chunk, s.n)
	x := s.x(f)
	norm, floor := s.norm(x), float64(s.floor(f)[0])
	t := s.area(f, c)
	for i, near := range s.near(f)[j0:j1] {
		if high := float64(near) + errorOf(q, j0+i, near, norm); high < floor {
			continue
		}
		y := wk.second(1)
		s.columns(wk, y, 1, x, nil, f.bytes(s.w), j0+i, 1)
		t.scan(y, j0+i)
	}
	t.end()
}
