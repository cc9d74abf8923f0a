package audio

import "math"

// A melBank turns a power spectrum into mel bands: triangles that are evenly spaced on
// Slaney's mel scale, each of area 1 (the Auditory Toolbox, 1998, and librosa's "slaney" scale
// and norm).
type melBank []band

// A band weighs the bins first, first+1, ...
type band struct {
	first  int
	weight []float64
}

// maxFrequency is the upper end of the highest band in Hz.
const maxFrequency = 8000

// newMelBank returns the given number of bands between 0 and 8000 Hz for spectra of bins
// values, the last at half the sample rate.
func newMelBank(bands, bins, rate int) melBank {
	top := hertzToMel(maxFrequency)
	edge := make([]float64, bands+2)
	for i := range edge {
		edge[i] = melToHertz(top * float64(i) / float64(bands+1))
	}
	step := float64(rate) / 2 / float64(bins-1)
	bank := make(melBank, bands)
	for i := range bank {
		low, mid, high := edge[i], edge[i+1], edge[i+2]
		b := band{first: -1}
		for k := range bins {
			f := float64(k) * step
			w := min((f-low)/(mid-low), (high-f)/(high-mid))
			if w <= 0 {
				continue
			}
			if b.first < 0 {
				b.first = k
			}
			b.weight = append(b.weight, w*2/(high-low))
		}
		b.first = max(b.first, 0)
		bank[i] = b
	}
	return bank
}

// Slaney's scale is linear up to 1000 Hz (mel 15) and logarithmic above.
const (
	hertzPerMel = 200.0 / 3
	linearTop   = 1000.0
)

var logStep = math.Log(6.4) / 27

func hertzToMel(f float64) float64 {
	if f < linearTop {
		return f / hertzPerMel
	}
	return linearTop/hertzPerMel + math.Log(f/linearTop)/logStep
}

func melToHertz(m float64) float64 {
	if m < linearTop/hertzPerMel {
		return m * hertzPerMel
	}
	return linearTop * math.Exp(logStep*(m-linearTop/hertzPerMel))
}

// The smallest power, and its logarithm.
const (
	powerFloor = 1e-10
	logFloor   = -10
)

// log10 writes the logarithm of each band's power.
func (b melBank) log10(dst []float32, power []float64) {
	dst = dst[:len(b)]
	for i := range b {
		p := power[b[i].first:][:len(b[i].weight)]
		sum := 0.0
		for k, w := range b[i].weight {
			sum += w * p[k]
		}
		dst[i] = float32(math.Log10(max(sum, powerFloor)))
	}
}
