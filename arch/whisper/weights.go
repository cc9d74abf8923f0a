package whisper

import (
	"emily/arch"
	"emily/backend"
)

// weights are the tensors of a checkpoint under their own names.
type weights struct {
	Encoder encoder         `tensor:"model.encoder"`
	Decoder decoder         `tensor:"model.decoder"`
	Head    *backend.Weight `tensor:"proj_out.weight" shape:"vocab,hidden" when:"untied"`
}

type encoder struct {
	Conv1     *backend.Weight `tensor:"conv1.weight" shape:"hidden,mels,3"`
	Conv1Bias *backend.Weight `tensor:"conv1.bias" shape:"hidden"`
	Conv2     *backend.Weight `tensor:"conv2.weight" shape:"hidden,hidden,3"`
	Conv2Bias *backend.Weight `tensor:"conv2.bias" shape:"hidden"`
	Positions *backend.Weight `tensor:"embed_positions.weight" shape:"source_positions,hidden"`
	Layers    []encoderLayer  `tensor:"layers"`
	Norm      arch.Norm       `tensor:"layer_norm"`
}

type encoderLayer struct {
	Attention     attention  `tensor:"self_attn"`
	AttentionNorm arch.Norm  `tensor:"self_attn_layer_norm"`
	MLP           encoderMLP `tensor:""`
	MLPNorm       arch.Norm  `tensor:"final_layer_norm"`
}

type decoder struct {
	Embed     *backend.Weight `tensor:"embed_tokens.weight" shape:"vocab,hidden"`
	Positions *backend.Weight `tensor:"embed_positions.weight" shape:"target_positions,hidden"`
	Layers    []decoderLayer  `tensor:"layers"`
	Norm      arch.Norm       `tensor:"layer_norm"`
}

type decoderLayer struct {
	Attention     attention  `tensor:"self_attn"`
	AttentionNorm arch.Norm  `tensor:"self_attn_layer_norm"`
	Sound         attention  `tensor:"encoder_attn"`
	SoundNorm     arch.Norm  `tensor:"encoder_attn_layer_norm"`
	MLP           decoderMLP `tensor:""`
	MLPNorm       arch.Norm  `tensor:"final_layer_norm"`
}

// attention has no bias for keys: it would add the same to all scores of a row.
type attention struct {
	Q     *backend.Weight `tensor:"q_proj.weight" shape:"hidden,hidden"`
	QBias *backend.Weight `tensor:"q_proj.bias" shape:"hidden"`
	K     *backend.Weight `tensor:"k_proj.weight" shape:"hidden,hidden"`
	KBias *backend.Weight // always nil
	V     *backend.Weight `tensor:"v_proj.weight" shape:"hidden,hidden"`
	VBias *backend.Weight `tensor:"v_proj.bias" shape:"hidden"`
	O     *backend.Weight `tensor:"out_proj.weight" shape:"hidden,hidden"`
	OBias *backend.Weight `tensor:"out_proj.bias" shape:"hidden"`
}

type encoderMLP struct {
	Up       *backend.Weight `tensor:"fc1.weight" shape:"encoder_ffn,hidden"`
	UpBias   *backend.Weight `tensor:"fc1.bias" shape:"encoder_ffn"`
	Down     *backend.Weight `tensor:"fc2.weight" shape:"hidden,encoder_ffn"`
	DownBias *backend.Weight `tensor:"fc2.bias" shape:"hidden"`
}

type decoderMLP struct {
	Up       *backend.Weight `tensor:"fc1.weight" shape:"decoder_ffn,hidden"`
	UpBias   *backend.Weight `tensor:"fc1.bias" shape:"decoder_ffn"`
	Down     *backend.Weight `tensor:"fc2.weight" shape:"hidden,decoder_ffn"`
	DownBias *backend.Weight `tensor:"fc2.bias" shape:"hidden"`
}
