"""llama.cpp, through the C functions of llama-cpp-python, on a GGUF file that is written once (kept in emily's cache). The
argument is the format of the weights: bf16 or q8_0. The file has no vocabulary: ids go in and out."""
import os
import sys

from lanes import Job, absent, serve

try:
    import gguf
    import llama_cpp as llama
    import ml_dtypes  # noqa: F401, gives numpy bfloat16
    import numpy as np
except ImportError as e:
    absent(f"{e.name} is not installed")

FORMAT = sys.argv[1] if len(sys.argv) > 1 else "bf16"
LAYER = {
    "input_layernorm": "attn_norm", "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output", "self_attn.q_norm": "attn_q_norm", "self_attn.k_norm": "attn_k_norm",
    "post_attention_layernorm": "ffn_norm", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down",
}
OTHER = {"model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output"}


def gguf_name(name):
    name = name.removesuffix(".weight")
    if name in OTHER:
        return OTHER[name] + ".weight"
    layer, part = name.removeprefix("model.layers.").split(".", 1)
    return f"blk.{layer}.{LAYER[part]}.weight"


def write_bf16(job, path):
    """The checkpoint as GGUF: matrices as they are in bf16, norms in f32."""
    from safetensors.numpy import load_file
    c = job.qwen3_config()
    w = gguf.GGUFWriter(path, "qwen3")
    w.add_block_count(c["num_hidden_layers"])
    w.add_context_length(c["max_position_embeddings"])
    w.add_embedding_length(c["hidden_size"])
    w.add_feed_forward_length(c["intermediate_size"])
    w.add_head_count(c["num_attention_heads"])
    w.add_head_count_kv(c["num_key_value_heads"])
    w.add_key_length(c["head_dim"])
    w.add_value_length(c["head_dim"])
    w.add_layer_norm_rms_eps(c["rms_norm_eps"])
    w.add_rope_freq_base(c["rope_theta"])
    w.add_vocab_size(c["vocab_size"])
    w.add_tokenizer_model("no_vocab")
    for file in sorted(f for f in os.listdir(job.model) if f.endswith(".safetensors")):
        for name, x in load_file(job.file(file)).items():
            if name == "lm_head.weight" and c["tie_word_embeddings"]:
                continue
            if x.ndim == 1:
                w.add_tensor(gguf_name(name), x.astype(np.float32))
            elif x.dtype == np.float32:
                w.add_tensor(gguf_name(name), x)
            else:
                w.add_tensor(gguf_name(name), np.ascontiguousarray(x).view(np.uint8), raw_dtype=gguf.GGMLQuantizationType.BF16)
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


def model_file(job):
    os.makedirs(job.cache, exist_ok=True)
    base = os.path.join(job.cache, os.path.basename(job.model))
    if not os.path.exists(base + ".bf16.gguf"):
        write_bf16(job, base + ".part")
        os.rename(base + ".part", base + ".bf16.gguf")
    if FORMAT == "q8_0" and not os.path.exists(base + ".q8_0.gguf"):
        params = llama.llama_model_quantize_default_params()
        params.ftype, params.nthread, params.pure = llama.LLAMA_FTYPE_MOSTLY_Q8_0, job.threads, True
        if llama.llama_model_quantize((base + ".bf16.gguf").encode(), (base + ".part").encode(), params):
            raise RuntimeError("llama.cpp cannot quantize the model")
        os.rename(base + ".part", base + ".q8_0.gguf")
    return f"{base}.{FORMAT}.gguf"


def qwen3(job: Job):
    model = llama.llama_model_load_from_file(model_file(job).encode(), llama.llama_model_default_params())
    if not model:
        raise RuntimeError("llama.cpp cannot load the model")
    params = llama.llama_context_default_params()
    params.n_ctx, params.n_threads, params.n_threads_batch = 256, job.threads, job.threads
    context = llama.llama_init_from_model(model, params)
    if not context:
        raise RuntimeError("llama.cpp cannot make a context")
    vocab, prompt = job.config()["vocab_size"], job.prompt_ids()
    job.own_dtype = FORMAT

    def call():
        llama.llama_memory_clear(llama.llama_get_memory(context), True)
        ids, tokens = prompt(), []
        while len(tokens) < job.new_tokens:
            batch = llama.llama_batch_get_one((llama.llama_token * len(ids))(*ids), len(ids))
            if llama.llama_decode(context, batch):
                raise RuntimeError("llama.cpp cannot decode")
            logits = np.ctypeslib.as_array(llama.llama_get_logits_ith(context, -1), (vocab,))
            ids = [int(logits.argmax())]
            tokens += ids
        return {"tokens": tokens}
    return call


llama.llama_backend_init()
serve(f"llama.cpp of llama-cpp-python {llama.__version__}", f"{FORMAT} weights, f32 activations and sums where its kernels have them", {"3": qwen3, "addendum": qwen3})
