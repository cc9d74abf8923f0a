package bert

import (
	"emily/arch"
	"emily/backend"
)

// The heads of a class are tensors outside the encoder. Each family has its own
// names for the same fields, so that one converts to the other.

// dense is a linear layer for every token: start and end logits, or labels.
type dense struct{ Weight, Bias *backend.Weight }

type spanHead struct {
	Weight *backend.Weight `tensor:"qa_outputs.weight" shape:"2,hidden"`
	Bias   *backend.Weight `tensor:"qa_outputs.bias" shape:"2"`
}

type tokenHead struct {
	Weight *backend.Weight `tensor:"classifier.weight" shape:"labels,hidden"`
	Bias   *backend.Weight `tensor:"classifier.bias" shape:"labels"`
}

// textHead classifies the first token: out(act(dense x)).
type textHead struct{ Dense, DenseBias, Out, OutBias *backend.Weight }

type bertTextHead struct {
	Dense     *backend.Weight `tensor:"bert.pooler.dense.weight|pooler.dense.weight" shape:"hidden,hidden"`
	DenseBias *backend.Weight `tensor:"bert.pooler.dense.bias|pooler.dense.bias" shape:"hidden"`
	Out       *backend.Weight `tensor:"classifier.weight" shape:"labels,hidden"`
	OutBias   *backend.Weight `tensor:"classifier.bias" shape:"labels"`
}

type distilTextHead struct {
	Dense     *backend.Weight `tensor:"pre_classifier.weight" shape:"hidden,hidden"`
	DenseBias *backend.Weight `tensor:"pre_classifier.bias" shape:"hidden"`
	Out       *backend.Weight `tensor:"classifier.weight" shape:"labels,hidden"`
	OutBias   *backend.Weight `tensor:"classifier.bias" shape:"labels"`
}

type robertaTextHead struct {
	Dense     *backend.Weight `tensor:"classifier.dense.weight" shape:"hidden,hidden"`
	DenseBias *backend.Weight `tensor:"classifier.dense.bias" shape:"hidden"`
	Out       *backend.Weight `tensor:"classifier.out_proj.weight" shape:"labels,hidden"`
	OutBias   *backend.Weight `tensor:"classifier.out_proj.bias" shape:"labels"`
}

// maskHead predicts tokens: out(norm(act(dense x))), where out is the embedding if tied.
type maskHead struct {
	Dense, DenseBias *backend.Weight
	Norm             arch.Norm
	Out, OutBias     *backend.Weight
}

type bertMaskHead struct {
	Dense     *backend.Weight `tensor:"cls.predictions.transform.dense.weight" shape:"hidden,hidden"`
	DenseBias *backend.Weight `tensor:"cls.predictions.transform.dense.bias" shape:"hidden"`
	Norm      arch.Norm       `tensor:"cls.predictions.transform.LayerNorm"`
	Out       *backend.Weight `tensor:"cls.predictions.decoder.weight" shape:"vocab,hidden" when:"untied"`
	OutBias   *backend.Weight `tensor:"cls.predictions.bias|cls.predictions.decoder.bias" shape:"vocab"`
}

type distilMaskHead struct {
	Dense     *backend.Weight `tensor:"vocab_transform.weight" shape:"hidden,hidden"`
	DenseBias *backend.Weight `tensor:"vocab_transform.bias" shape:"hidden"`
	Norm      arch.Norm       `tensor:"vocab_layer_norm"`
	Out       *backend.Weight `tensor:"vocab_projector.weight" shape:"vocab,hidden" when:"untied"`
	OutBias   *backend.Weight `tensor:"vocab_projector.bias" shape:"vocab"`
}

type robertaMaskHead struct {
	Dense     *backend.Weight `tensor:"lm_head.dense.weight" shape:"hidden,hidden"`
	DenseBias *backend.Weight `tensor:"lm_head.dense.bias" shape:"hidden"`
	Norm      arch.Norm       `tensor:"lm_head.layer_norm"`
	Out       *backend.Weight `tensor:"lm_head.decoder.weight" shape:"vocab,hidden" when:"untied"`
	OutBias   *backend.Weight `tensor:"lm_head.bias|lm_head.decoder.bias" shape:"vocab"`
}
