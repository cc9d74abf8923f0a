package arch

import (
	"fmt"

	"emily/backend"
)

// ParseActivation returns the activation that a config.json names.
func ParseActivation(name string) (backend.Activation, error) {
	switch name {
	case "gelu":
		return backend.GELU, nil
	case "gelu_new", "gelu_fast", "gelu_pytorch_tanh":
		return backend.GELUTanh, nil
	case "silu", "swish":
		return backend.SiLU, nil
	case "relu":
		return backend.ReLU, nil
	case "tanh":
		return backend.Tanh, nil
	}
	return 0, fmt.Errorf("%q is not supported; gelu, gelu_new, gelu_pytorch_tanh, silu, relu and tanh are", name)
}
