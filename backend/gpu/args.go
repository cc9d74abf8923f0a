package gpu

import "unsafe"

const maxRank = 6

// The arguments of the kernels, field by field as kernels/src/args.h declares
// them. All fields have 32 bits, so that no compiler pads them.
type (
	mapArgs struct {
		count, op, rank, a0, b0 int32
		shape, a, b, c          [maxRank]int32
	}
	chainArgs struct {
		count, rank, leaves, steps, result, dtype, fold, out0 int32
		shape, out                                            [maxRank]int32
		kind, first                                           [mostLeaves]int32
		stride                                                [maxRank * mostLeaves]int32
		step                                                  [4 * mostInstructions]int32
	}
	rowArgs    struct{ rows, width int32 }
	reduceArgs struct{ outer, count, inner, op int32 }
	normArgs   struct {
		rows, width, kind, weightType, biasType, round int32
		eps                                            float32
	}
	splitArgs   struct{ rows, width, terms int32 }
	readArgs    struct{ pieces, threads int32 }
	gatherArgs  struct{ rows, width, limit, dtype int32 }
	productArgs struct {
		m, k, wide                            int32
		n, biasType                           [mostMembers]int32
		xBatch, wBatch, batch                 [4]int32
		wRow, wColumn                         int32
		activation, addResidual               int32
		norm, normWeightType, normBiasType    int32
		eps                                   float32
		gated, round, roundNorm, splits, span int32
		stages, across, cluster, step         int32
		groups, stored                        int32
	}
	patchArgs struct {
		height, width, channels, kernelHeight, kernelWidth, outHeight, outWidth, stride, padTop, padLeft int32
	}
	rotaryArgs struct {
		rows, pairs int32
		scale       float32
	}
	headsArgs struct {
		rows, dim, round                         int32
		heads, pairs, norm, weightType, biasType [mostHeadParts]int32
		eps                                      [mostHeadParts]float32
		cached, dtype, layer, slots, capacity    [mostHeadParts]int32
	}
	cacheArgs     struct{ layer, slots, size int32 }
	attentionArgs struct {
		rows, heads, kvHeads, dim, causal, window, keys, splits int32
		cached, layer, slots, capacity, keyType, valueType      int32
		round                                                   int32
		scale                                                   float32
	}
	topKArgs struct{ rows, width, chunk, chunks, k, withIDs, withValues int32 }
)

// bytesOf returns a copy of a struct of arguments.
func bytesOf[T any](args T) []byte {
	return append([]byte(nil), unsafe.Slice((*byte)(unsafe.Pointer(&args)), unsafe.Sizeof(args))...)
}

// i32 converts a size that Compile has checked.
func i32(n int) int32 { return int32(n) }

func flag(b bool) int32 {
	if b {
		return 1
	}
	return 0
}
