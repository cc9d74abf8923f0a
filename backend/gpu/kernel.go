package gpu

import (
	"emily/backend"
	"emily/backend/gpu/kernels"
)

// kernel names a kernel of package kernels.
type kernel int

const (
	unary kernel = iota
	binaryFloat
	binaryInt
	compareFloat
	compareInt
	select32
	iotas
	cast
	copy8
	copy16
	copy32
	gather
	readMemory
	reduceRows
	reduceColumns
	softmax
	normalise
	positions
	rotaryTable
	heads
	cacheRead
	topK
	chain
	chainFold
	attentionMerge
	attention1
	attention2
	attention4
	attention8
	eights64 // attention with heads of eights of numbers, by their most elements
	eights128
	eights256
	patches
	productF32  // and vector4, vector16, tiles, columns4, columns16
	productBF16 = productF32 + 6
	productF16  = productF32 + 12
	// Kernels for matrix units: products by their tile, the number of terms of
	// x and the dtype of the weights.
	firstMatrix = productF32 + 18
)

const (
	sharesSum kernel = firstMatrix + iota
	small1Float
	small3Float
	small1BF16
	small3BF16
	small3F16
	large3Float
	large1BF16
	large3BF16
	flash1BF16At64 // by the terms of q, the dtype of keys and values, and the width of a head
	flash3BF16At64
	flash1FloatAt64
	flash3FloatAt64
	narrow1BF16At64 // the same for 16 rows
	narrow3BF16At64
	narrow1FloatAt64
	narrow3FloatAt64
	flash1BF16At128
	flash3BF16At128
	flash1FloatAt128
	flash3FloatAt128
	few1FloatOf16 // products of few rows, by the terms of x, the dtype of the weights, and the most rows
	few3FloatOf16
	few1BF16Of16
	few3BF16Of16
	few3F16Of16
	few1FloatOf48
	few3FloatOf48
	few1BF16Of48
	few3BF16Of48
	few3F16Of48
	splitTerms
	normaliseTerms
	group11At128x256 // products of warpgroups by the terms of x and of the weights, and their tile
	group11At128x128
	group11At64x128
	group31At128x128
	group31At64x128
	group33At128x128
	group33At64x128
	numKernels
)

// firstKernels are the first of each part of package kernels.
var firstKernels = [kernels.Parts + 1]kernel{unary, attentionMerge, patches, sharesSum, flash1BF16At64, flash1BF16At128, few1FloatOf16, splitTerms, numKernels}

// The kernels of one stored dtype, from productF32 and so on.
const (
	vector1 kernel = iota
	vector4
	vector16
	tiles
	columns4
	columns16
)

var kernelNames = [numKernels]string{
	unary: "unary", binaryFloat: "binary_float", binaryInt: "binary_int", compareFloat: "compare_float", compareInt: "compare_int",
	select32: "select_32", iotas: "iota", cast: "cast", copy8: "copy_8", copy16: "copy_16", copy32: "copy_32", gather: "gather", readMemory: "read_memory",
	reduceRows: "reduce_rows", reduceColumns: "reduce_columns", softmax: "softmax", normalise: "normalise",
	positions: "positions", rotaryTable: "rotary_table", heads: "heads", cacheRead: "cache_read",
	patches: "patches", attentionMerge: "attention_merge", topK: "top_k", chain: "chain", chainFold: "chain_fold",
	attention1: "attention_1", attention2: "attention_2", attention4: "attention_4", attention8: "attention_8",
	eights64: "attention_eights_64", eights128: "attention_eights_128", eights256: "attention_eights_256",
	productF32: "vector1_float", productF32 + vector4: "vector4_float", productF32 + vector16: "vector16_float", productF32 + tiles: "tiles_float",
	productF32 + columns4: "columns4_float", productF32 + columns16: "columns16_float",
	productBF16: "vector1_bf16", productBF16 + vector4: "vector4_bf16", productBF16 + vector16: "vector16_bf16", productBF16 + tiles: "tiles_bf16",
	productBF16 + columns4: "columns4_bf16", productBF16 + columns16: "columns16_bf16",
	productF16: "vector1_f16", productF16 + vector4: "vector4_f16", productF16 + vector16: "vector16_f16", productF16 + tiles: "tiles_f16",
	productF16 + columns4: "columns4_f16", productF16 + columns16: "columns16_f16",
	sharesSum: "shares_sum", small1Float: "small1_float", small3Float: "small3_float", small1BF16: "small1_bf16", small3BF16: "small3_bf16", small3F16: "small3_f16",
	large3Float: "large3_float", large1BF16: "large1_bf16", large3BF16: "large3_bf16",
	flash1BF16At64: "flash1_bf16_64", flash3BF16At64: "flash3_bf16_64", flash1FloatAt64: "flash1_float_64", flash3FloatAt64: "flash3_float_64",
	narrow1BF16At64: "narrow1_bf16_64", narrow3BF16At64: "narrow3_bf16_64", narrow1FloatAt64: "narrow1_float_64", narrow3FloatAt64: "narrow3_float_64",
	flash1BF16At128: "flash1_bf16_128", flash3BF16At128: "flash3_bf16_128", flash1FloatAt128: "flash1_float_128", flash3FloatAt128: "flash3_float_128",
	few1FloatOf16: "few1_float_16", few3FloatOf16: "few3_float_16", few1BF16Of16: "few1_bf16_16", few3BF16Of16: "few3_bf16_16", few3F16Of16: "few3_f16_16",
	few1FloatOf48: "few1_float_48", few3FloatOf48: "few3_float_48", few1BF16Of48: "few1_bf16_48", few3BF16Of48: "few3_bf16_48", few3F16Of48: "few3_f16_48",
	splitTerms: "split_terms", normaliseTerms: "normalise_terms",
	group11At128x256: "group11_128_256", group11At128x128: "group11_128_128", group11At64x128: "group11_64_128",
	group31At128x128: "group31_128_128", group31At64x128: "group31_64_128", group33At128x128: "group33_128_128", group33At64x128: "group33_64_128",
}

// products returns the first of a stored dtype's product kernels.
func products(d backend.DType) kernel {
	switch d {
	case backend.BF16:
		return productBF16
	case backend.F16:
		return productF16
	}
	return productF32
}
