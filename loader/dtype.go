package loader

import "emily/backend"

// stored describes an element type of the safetensors format.
type stored struct {
	bits  int64
	float bool
	// bind is the type a graph reads it as; Invalid means that the tensor can be
	// listed but not used as a weight.
	bind backend.DType
}

// storedTypes are the element types that the safetensors format defines, by
// the names it gives them.
var storedTypes = map[string]stored{
	"F32":         {32, true, backend.F32},
	"BF16":        {16, true, backend.BF16},
	"F16":         {16, true, backend.F16},
	"F64":         {64, true, backend.Invalid},
	"C64":         {64, true, backend.Invalid},
	"F8_E5M2":     {8, true, backend.Invalid},
	"F8_E4M3":     {8, true, backend.Invalid},
	"F8_E8M0":     {8, true, backend.Invalid},
	"F8_E5M2FNUZ": {8, true, backend.Invalid},
	"F8_E4M3FNUZ": {8, true, backend.Invalid},
	"F6_E2M3":     {6, true, backend.Invalid},
	"F6_E3M2":     {6, true, backend.Invalid},
	"F4":          {4, true, backend.Invalid},
	"I64":         {64, false, backend.Invalid},
	"U64":         {64, false, backend.Invalid},
	"I32":         {32, false, backend.Invalid},
	"U32":         {32, false, backend.Invalid},
	"I16":         {16, false, backend.Invalid},
	"U16":         {16, false, backend.Invalid},
	"I8":          {8, false, backend.Invalid},
	"U8":          {8, false, backend.Invalid},
	"BOOL":        {8, false, backend.Invalid},
}
