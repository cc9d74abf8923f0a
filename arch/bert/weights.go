package bert

import (
	"emily/arch"
	"emily/backend"
)

// encoder is the tensors of BERT and RoBERTa under their own names.
type encoder struct {
	Embeddings embeddings `tensor:"embeddings"`
	Layers     []layer    `tensor:"encoder.layer"`
	Pooler     pooler     `tensor:"pooler.dense"`
}

type embeddings struct {
	Words     *backend.Weight `tensor:"word_embeddings.weight" shape:"vocab,hidden"`
	Positions *backend.Weight `tensor:"position_embeddings.weight" shape:"positions,hidden"`
	Types     *backend.Weight `tensor:"token_type_embeddings.weight" shape:"types,hidden" when:"types"`
	Norm      arch.Norm       `tensor:"LayerNorm"`
}

type layer struct {
	Attention     attention `tensor:"attention"`
	AttentionNorm arch.Norm `tensor:"attention.output.LayerNorm"`
	MLP           mlp       `tensor:""`
	MLPNorm       arch.Norm `tensor:"output.LayerNorm"`
}

type attention struct {
	Q     *backend.Weight `tensor:"self.query.weight" shape:"hidden,hidden"`
	QBias *backend.Weight `tensor:"self.query.bias" shape:"hidden"`
	K     *backend.Weight `tensor:"self.key.weight" shape:"hidden,hidden"`
	KBias *backend.Weight `tensor:"self.key.bias" shape:"hidden"`
	V     *backend.Weight `tensor:"self.value.weight" shape:"hidden,hidden"`
	VBias *backend.Weight `tensor:"self.value.bias" shape:"hidden"`
	O     *backend.Weight `tensor:"output.dense.weight" shape:"hidden,hidden"`
	OBias *backend.Weight `tensor:"output.dense.bias" shape:"hidden"`
}

type mlp struct {
	Up       *backend.Weight `tensor:"intermediate.dense.weight" shape:"intermediate,hidden"`
	UpBias   *backend.Weight `tensor:"intermediate.dense.bias" shape:"intermediate"`
	Down     *backend.Weight `tensor:"output.dense.weight" shape:"hidden,intermediate"`
	DownBias *backend.Weight `tensor:"output.dense.bias" shape:"hidden"`
}

// pooler may be absent: heads other than the classifier do not use it.
type pooler struct {
	Weight *backend.Weight `tensor:"weight,optional" shape:"hidden,hidden"`
	Bias   *backend.Weight `tensor:"bias,optional" shape:"hidden"`
}

// distilEncoder is the tensors of DistilBERT (Sanh et al. 2019).
type distilEncoder struct {
	Embeddings embeddings    `tensor:"embeddings"`
	Layers     []distilLayer `tensor:"transformer.layer"`
}

type distilLayer struct {
	Attention     distilAttention `tensor:"attention"`
	AttentionNorm arch.Norm       `tensor:"sa_layer_norm"`
	MLP           distilMLP       `tensor:"ffn"`
	MLPNorm       arch.Norm       `tensor:"output_layer_norm"`
}

type distilAttention struct {
	Q     *backend.Weight `tensor:"q_lin.weight" shape:"hidden,hidden"`
	QBias *backend.Weight `tensor:"q_lin.bias" shape:"hidden"`
	K     *backend.Weight `tensor:"k_lin.weight" shape:"hidden,hidden"`
	KBias *backend.Weight `tensor:"k_lin.bias" shape:"hidden"`
	V     *backend.Weight `tensor:"v_lin.weight" shape:"hidden,hidden"`
	VBias *backend.Weight `tensor:"v_lin.bias" shape:"hidden"`
	O     *backend.Weight `tensor:"out_lin.weight" shape:"hidden,hidden"`
	OBias *backend.Weight `tensor:"out_lin.bias" shape:"hidden"`
}

type distilMLP struct {
	Up       *backend.Weight `tensor:"lin1.weight" shape:"intermediate,hidden"`
	UpBias   *backend.Weight `tensor:"lin1.bias" shape:"intermediate"`
	Down     *backend.Weight `tensor:"lin2.weight" shape:"hidden,intermediate"`
	DownBias *backend.Weight `tensor:"lin2.bias" shape:"hidden"`
}
