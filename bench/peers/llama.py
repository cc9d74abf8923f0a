"""llama.cpp, through the C functions of llama-cpp-python, on a GGUF file that is written once (kept in emily's cache). The
argument is the format of the weights: bf16 or q8_0. The file has no vocabulary: ids go in and out."""
import json
import os
import sys

from lanes import Job, absent, serve

try:
    import gguf
    import llama_cpp as llama
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


def tensors(path):
    """Name, dtype, shape and bytes of a safetensors file's tensors. The file is mapped: a large one need not fit into memory."""
    data = np.memmap(path, np.uint8, "r")
    start = 8 + int.from_bytes(data[:8].tobytes(), "little")
    for name, t in json.loads(data[8:start].tobytes()).items():
        if name != "__metadata__":
            first, end = t["data_offsets"]
            yield name, t["dtype"], t["shape"], data[start + first:start + end]


def write_bf16(job, path):
    """The checkpoint as GGUF: matrices as they are in bf16, norms in f32."""
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
        for name, dtype, shape, data in tensors(job.file(file)):
            if name == "lm_head.weight" and c["tie_word_embeddings"]:
                continue
            if dtype == "F32":
                w.add_tensor(gguf_name(name), data.view(np.float32).reshape(shape))
            elif dtype != "BF16":
                raise RuntimeError(f"{name} is stored as {dtype}, neither BF16 nor F32")
            elif len(shape) == 1:
                w.add_tensor(gguf_name(name), (data.view(np.uint16).astype(np.uint32) << 16).view(np.float32))
            else:
                w.add_tensor(gguf_name(name), data.reshape(*shape[:-1], -1), raw_dtype=gguf.GGMLQuantizationType.BF16)
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


def quantize(job, path, to):
    params = llama.llama_model_quantize_default_params()
    params.ftype, params.nthread, params.pure = llama.LLAMA_FTYPE_MOSTLY_Q8_0, job.threads, True
    if llama.llama_model_quantize(path.encode(), to.encode(), params):
        raise RuntimeError("llama.cpp cannot quantize the model")


def load(job):
    path = job.converted(".bf16.gguf", lambda path: write_bf16(job, path))
    if FORMAT == "q8_0":
        path = job.converted(".q8_0.gguf", lambda to, of=path: quantize(job, of, to))
    model = llama.llama_model_load_from_file(path.encode(), llama.llama_model_default_params())
    if not model:
        raise RuntimeError("llama.cpp cannot load the model")
    return model


class Context:
    """The cache of a text of so many tokens."""

    def __init__(self, model, tokens, threads):
        params = llama.llama_context_default_params()
        params.n_ctx, params.n_threads, params.n_threads_batch = -(-tokens // 256) * 256, threads, threads
        self.pointer = llama.llama_init_from_model(model, params)
        if not self.pointer:
            raise RuntimeError("llama.cpp cannot make a context")

    def __del__(self):
        if self.pointer:
            llama.llama_free(self.pointer)


def qwen3(job: Job):
    vocab, prompt = job.config()["vocab_size"], job.prompt_ids()
    context = Context(job.loaded(lambda: load(job)), len(prompt()) + job.new_tokens, job.threads)

    def call():
        llama.llama_memory_clear(llama.llama_get_memory(context.pointer), True)
        ids, tokens = prompt(), []
        while len(tokens) < job.new_tokens:
            array = (llama.llama_token * len(ids))(*ids)  # the batch points into it
            if llama.llama_decode(context.pointer, llama.llama_batch_get_one(array, len(ids))):
                raise RuntimeError("llama.cpp cannot decode")
            logits = np.ctypeslib.as_array(llama.llama_get_logits_ith(context.pointer, -1), (vocab,))
            ids = [int(logits.argmax())]
            tokens += ids
        return {"tokens": tokens}
    return call


llama.llama_backend_init()
serve(f"llama.cpp of llama-cpp-python {llama.__version__}", f"{FORMAT} weights, f32 activations and sums where its kernels have them", {"3": qwen3, "addendum": qwen3})
