package backend

import "math"

// GELU returns x·Φ(x), with the error function (Hendrycks and Gimpel 2016).
func (t *Tensor) GELU() *Tensor { return t.unary(OpGELU) }

// GELUTanh returns GELU in its tanh approximation (same paper; "gelu_new").
func (t *Tensor) GELUTanh() *Tensor { return t.unary(OpGELUTanh) }

// SiLU returns x·sigmoid(x).
func (t *Tensor) SiLU() *Tensor { return t.unary(OpSiLU) }

// ReLU returns max(x, 0).
func (t *Tensor) ReLU() *Tensor { return t.unary(OpReLU) }

// SwiGLU returns SiLU(t)·up, the gate of Shazeer 2020; both have one shape.
func (t *Tensor) SwiGLU(up *Tensor) *Tensor {
	if t.dtype != F32 || up.dtype != F32 || !sameShape(t, up) {
		return t.graph.fail(OpSwiGLU, "%s%v and %s%v", t.dtype, t.shape, up.dtype, up.shape)
	}
	return t.graph.add(OpSwiGLU, F32, t.shape, Attrs{}, t, up)
}

// Softmax returns exp(x-max)/Σexp(x-max) over the last axis.
func (t *Tensor) Softmax() *Tensor {
	if t.Rank() == 0 {
		return t.graph.fail(OpSoftmax, "a scalar has no axis")
	}
	return t.unary(OpSoftmax)
}

// Activate applies an activation by its value.
func (t *Tensor) Activate(a Activation) *Tensor {
	switch a {
	case GELU:
		return t.GELU()
	case GELUTanh:
		return t.GELUTanh()
	case SiLU:
		return t.SiLU()
	case ReLU:
		return t.ReLU()
	case Tanh:
		return t.Tanh()
	}
	return t
}

func lowerGELU(_ *Tensor, args []*Tensor) []*Tensor {
	x := args[0]
	g := x.graph
	phi := x.Mul(g.Scalar(math.Sqrt2 / 2)).Erf().Add(g.Scalar(1)).Mul(g.Scalar(0.5))
	return []*Tensor{x.Mul(phi)}
}

func lowerGELUTanh(_ *Tensor, args []*Tensor) []*Tensor {
	x := args[0]
	g := x.graph
	c := float32(math.Sqrt(2 / math.Pi))
	u := x.Mul(x).Mul(x).Mul(g.Scalar(0.044715)).Add(x).Mul(g.Scalar(c))
	return []*Tensor{x.Mul(u.Tanh().Add(g.Scalar(1)).Mul(g.Scalar(0.5)))}
}

func lowerSiLU(_ *Tensor, args []*Tensor) []*Tensor {
	x := args[0]
	return []*Tensor{x.Div(x.Neg().Exp().Add(x.graph.Scalar(1)))}
}

func lowerReLU(_ *Tensor, args []*Tensor) []*Tensor {
	return []*Tensor{args[0].Max(args[0].graph.Scalar(0))}
}

func lowerSwiGLU(_ *Tensor, args []*Tensor) []*Tensor {
	return []*Tensor{args[0].SiLU().Mul(args[1])}
}

func lowerSoftmax(_ *Tensor, args []*Tensor) []*Tensor {
	x := args[0]
	e := x.Sub(x.ReduceMax(-1)).Exp()
	return []*Tensor{e.Div(e.Sum(-1))}
}
