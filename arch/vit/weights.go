package vit

import (
	"emily/arch"
	"emily/backend"
)

// encoder is the tensors of a checkpoint under their own names.
type encoder struct {
	Embeddings embeddings `tensor:"embeddings"`
	Layers     []layer    `tensor:"encoder.layer"`
	Norm       arch.Norm  `tensor:"layernorm"`
	Pooler     dense      `tensor:"pooler.dense"`
}

type embeddings struct {
	Class        *backend.Weight `tensor:"cls_token" shape:"1,1,hidden"`
	Distillation *backend.Weight `tensor:"distillation_token" shape:"1,1,hidden" when:"distilled"`
	Positions    *backend.Weight `tensor:"position_embeddings" shape:"1,patches+1+distilled,hidden"`
	Patch        *backend.Weight `tensor:"patch_embeddings.projection.weight" shape:"hidden,channels,patch_height,patch_width"`
	PatchBias    *backend.Weight `tensor:"patch_embeddings.projection.bias" shape:"hidden"`
}

type layer struct {
	Attention     attention `tensor:"attention"`
	AttentionNorm arch.Norm `tensor:"layernorm_before"`
	MLP           mlp       `tensor:""`
	MLPNorm       arch.Norm `tensor:"layernorm_after"`
}

type attention struct {
	Q     *backend.Weight `tensor:"attention.query.weight" shape:"hidden,hidden"`
	QBias *backend.Weight `tensor:"attention.query.bias" shape:"hidden" when:"qkv_bias"`
	K     *backend.Weight `tensor:"attention.key.weight" shape:"hidden,hidden"`
	KBias *backend.Weight `tensor:"attention.key.bias" shape:"hidden" when:"qkv_bias"`
	V     *backend.Weight `tensor:"attention.value.weight" shape:"hidden,hidden"`
	VBias *backend.Weight `tensor:"attention.value.bias" shape:"hidden" when:"qkv_bias"`
	O     *backend.Weight `tensor:"output.dense.weight" shape:"hidden,hidden"`
	OBias *backend.Weight `tensor:"output.dense.bias" shape:"hidden"`
}

type mlp struct {
	Up       *backend.Weight `tensor:"intermediate.dense.weight" shape:"intermediate,hidden"`
	UpBias   *backend.Weight `tensor:"intermediate.dense.bias" shape:"intermediate"`
	Down     *backend.Weight `tensor:"output.dense.weight" shape:"hidden,intermediate"`
	DownBias *backend.Weight `tensor:"output.dense.bias" shape:"hidden"`
}

// dense is the pooler; classifiers lack it.
type dense struct {
	Weight *backend.Weight `tensor:"weight,optional" shape:"hidden,hidden"`
	Bias   *backend.Weight `tensor:"bias,optional" shape:"hidden"`
}

type classifier struct {
	Weight *backend.Weight `tensor:"classifier.weight" shape:"labels,hidden"`
	Bias   *backend.Weight `tensor:"classifier.bias" shape:"labels"`
}

// distilledClassifier is DeiT's: one head for the class token and one for the
// distillation token, which learned from a teacher.
type distilledClassifier struct {
	Class            *backend.Weight `tensor:"cls_classifier.weight" shape:"labels,hidden"`
	ClassBias        *backend.Weight `tensor:"cls_classifier.bias" shape:"labels"`
	Distillation     *backend.Weight `tensor:"distillation_classifier.weight" shape:"labels,hidden"`
	DistillationBias *backend.Weight `tensor:"distillation_classifier.bias" shape:"labels"`
}
