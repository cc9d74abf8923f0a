package qwen3

import "emily/backend"

// weights are the tensors of a checkpoint under their own names.
type weights struct {
	Embed  *backend.Weight `tensor:"model.embed_tokens.weight" shape:"vocab,hidden"`
	Layers []layer         `tensor:"model.layers"`
	Norm   *backend.Weight `tensor:"model.norm.weight" shape:"hidden"`
	Head   *backend.Weight `tensor:"lm_head.weight" shape:"vocab,hidden" when:"untied"`
}

type layer struct {
	InputNorm *backend.Weight `tensor:"input_layernorm.weight" shape:"hidden"`
	Attn      attention       `tensor:"self_attn"`
	PostNorm  *backend.Weight `tensor:"post_attention_layernorm.weight" shape:"hidden"`
	MLP       mlp             `tensor:"mlp"`
}

type attention struct {
	Q     *backend.Weight `tensor:"q_proj.weight" shape:"heads*head_dim,hidden"`
	K     *backend.Weight `tensor:"k_proj.weight" shape:"kv_heads*head_dim,hidden"`
	V     *backend.Weight `tensor:"v_proj.weight" shape:"kv_heads*head_dim,hidden"`
	O     *backend.Weight `tensor:"o_proj.weight" shape:"hidden,heads*head_dim"`
	QBias *backend.Weight `tensor:"q_proj.bias" shape:"heads*head_dim" when:"qkv_bias"`
	KBias *backend.Weight `tensor:"k_proj.bias" shape:"kv_heads*head_dim" when:"qkv_bias"`
	VBias *backend.Weight `tensor:"v_proj.bias" shape:"kv_heads*head_dim" when:"qkv_bias"`
	OBias *backend.Weight `tensor:"o_proj.bias" shape:"hidden" when:"o_bias"`
	QNorm *backend.Weight `tensor:"q_norm.weight" shape:"head_dim" when:"qk_norm"`
	KNorm *backend.Weight `tensor:"k_norm.weight" shape:"head_dim" when:"qk_norm"`
}

type mlp struct {
	Gate     *backend.Weight `tensor:"gate_proj.weight" shape:"intermediate,hidden"`
	Up       *backend.Weight `tensor:"up_proj.weight" shape:"intermediate,hidden"`
	Down     *backend.Weight `tensor:"down_proj.weight" shape:"hidden,intermediate"`
	GateBias *backend.Weight `tensor:"gate_proj.bias" shape:"intermediate" when:"mlp_bias"`
	UpBias   *backend.Weight `tensor:"up_proj.bias" shape:"intermediate" when:"mlp_bias"`
	DownBias *backend.Weight `tensor:"down_proj.bias" shape:"hidden" when:"mlp_bias"`
}
