package arch

import (
	"encoding/json"
	"fmt"
	"math"
)

// Rotary holds the fields of config.json that define rotary position
// embeddings, in the form that the hub's files have (rope_theta, rope_scaling)
// and in that of transformers 5 (rope_parameters).
type Rotary struct {
	RopeTheta      float64        `json:"rope_theta"`
	RopeScaling    *RotaryScaling `json:"rope_scaling"`
	RopeParameters *RotaryScaling `json:"rope_parameters"`
	OriginalMax    float64        `json:"original_max_position_embeddings"`
}

// RotaryScaling says how the frequencies are stretched for longer contexts.
type RotaryScaling struct {
	RopeType        string   `json:"rope_type"`
	Type            string   `json:"type"` // the name of rope_type in older files
	RopeTheta       float64  `json:"rope_theta"`
	Factor          float64  `json:"factor"`
	LowFreqFactor   float64  `json:"low_freq_factor"`
	HighFreqFactor  float64  `json:"high_freq_factor"`
	OriginalMax     float64  `json:"original_max_position_embeddings"`
	AttentionFactor *float64 `json:"attention_factor"`
	BetaFast        float64  `json:"beta_fast"`
	BetaSlow        float64  `json:"beta_slow"`
	MScale          float64  `json:"mscale"`
	MScaleAllDim    float64  `json:"mscale_all_dim"`
	Truncate        *bool    `json:"truncate"`
}

// UnmarshalJSON accepts an object; other forms name themselves in the error.
func (s *RotaryScaling) UnmarshalJSON(text []byte) error {
	type plain RotaryScaling
	if err := json.Unmarshal(text, (*plain)(s)); err != nil {
		return fmt.Errorf("rope parameters: %w", err)
	}
	return nil
}

// Frequencies returns the inverse frequency of each rotated pair of a head and
// the factor of its cosines and sines. maxPositions is max_position_embeddings.
//
// The types are default (Su et al. 2021), linear (Chen et al. 2023), dynamic
// (which equals default up to the trained context), llama3 (Llama 3.1's) and
// yarn (Peng et al. 2023).
func (r Rotary) Frequencies(headDim, maxPositions int) (inverse []float32, scale float32, err error) {
	s := RotaryScaling{}
	for _, p := range []*RotaryScaling{r.RopeParameters, r.RopeScaling} { // the last wins, as in transformers
		if p != nil {
			s = *p
		}
	}
	kind := first(s.RopeType, s.Type, "default")
	theta := first(s.RopeTheta, r.RopeTheta, 10000)
	if theta <= 0 {
		return nil, 0, fmt.Errorf("rope_theta %v is out of range", theta)
	}
	dim := headDim
	inverse = make([]float32, dim/2)
	for i := range inverse {
		// In f32 where the reference computes in f32.
		exponent := float32(2*i) / float32(dim)
		inverse[i] = 1 / float32(math.Pow(theta, float64(exponent)))
	}
	original := first(s.OriginalMax, r.OriginalMax, float64(maxPositions))
	if s.Factor == 0 && kind == "yarn" {
		s.Factor = float64(maxPositions) / original
	}
	switch kind {
	case "default", "dynamic":
		return inverse, 1, nil
	case "linear", "llama3", "yarn":
		if !(s.Factor > 0) {
			return nil, 0, fmt.Errorf("rope factor is %v", s.Factor)
		}
	default:
		return nil, 0, fmt.Errorf("rope_type %q is not supported; default, linear, dynamic, llama3 and yarn are", kind)
	}
	switch kind {
	case "linear":
		for i := range inverse {
			inverse[i] /= float32(s.Factor)
		}
	case "llama3":
		if !(s.LowFreqFactor > 0) || !(s.HighFreqFactor > s.LowFreqFactor) {
			return nil, 0, fmt.Errorf("low_freq_factor %v and high_freq_factor %v are out of range", s.LowFreqFactor, s.HighFreqFactor)
		}
		s.llama3(inverse, original)
	case "yarn":
		return inverse, s.yarn(inverse, dim, theta, original), nil
	}
	return inverse, 1, nil
}

func first[T comparable](values ...T) T {
	var zero T
	for _, v := range values {
		if v != zero {
			return v
		}
	}
	return zero
}

// llama3 keeps short wavelengths, divides long ones by the factor and blends between.
func (s RotaryScaling) llama3(inverse []float32, original float64) {
	for i, f := range inverse {
		wavelength := 2 * math.Pi / float64(f)
		switch {
		case wavelength < original/s.HighFreqFactor:
		case wavelength > original/s.LowFreqFactor:
			inverse[i] = f / float32(s.Factor)
		default:
			smooth := (original/wavelength - s.LowFreqFactor) / (s.HighFreqFactor - s.LowFreqFactor)
			inverse[i] = float32((1-smooth)*float64(f)/s.Factor + smooth*float64(f))
		}
	}
}

// yarn blends by the number of turns that a pair makes over the original
// context, and returns the factor of the attention's temperature.
func (s RotaryScaling) yarn(inverse []float32, dim int, theta, original float64) float32 {
	turns := func(n float64) float64 {
		return float64(dim) * math.Log(original/(n*2*math.Pi)) / (2 * math.Log(theta))
	}
	low, high := turns(first(s.BetaFast, 32)), turns(first(s.BetaSlow, 1))
	if s.Truncate == nil || *s.Truncate {
		low, high = math.Floor(low), math.Ceil(high)
	}
	low, high = max(low, 0), min(high, float64(dim-1))
	if low == high {
		high += 0.001
	}
	for i, f := range inverse {
		ramp := min(max((float64(i)-low)/(high-low), 0), 1)
		inverse[i] = float32(float64(f)/s.Factor*ramp + float64(f)*(1-ramp))
	}
	temperature := func(m float64) float64 {
		if s.Factor <= 1 {
			return 1
		}
		return 0.1*m*math.Log(s.Factor) + 1
	}
	switch {
	case s.AttentionFactor != nil:
		return float32(*s.AttentionFactor)
	case s.MScale != 0 && s.MScaleAllDim != 0:
		return float32(temperature(s.MScale) / temperature(s.MScaleAllDim))
	}
	return float32(temperature(1))
}
