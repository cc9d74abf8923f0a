"""MLX: the GPU on a Mac, else its CPU device (mlx-cpu). That wheel brings the reference BLAS, of one thread and no vectors; the
OpenBLAS that setup has put beside it is loaded first, so that its functions take the place of the wheel's."""
import ctypes
import math
import os
import sys

from lanes import Job, absent, best_span, serve

BLAS = os.path.join(sys.prefix, "lib", "emily-blas.so")
blas = "the wheel's own BLAS"
if os.path.exists(BLAS):
    ctypes.CDLL(BLAS, ctypes.RTLD_GLOBAL)
    blas = "OpenBLAS"
try:
    import mlx.core as mx
except ImportError as e:
    absent(f"{e.name} is not installed")

GPU = mx.metal.is_available()
DTYPES = {"f32": mx.float32, "bf16": mx.bfloat16}
OPS = {
    "add": mx.add,
    "mul": mx.multiply,
    "exp": lambda a, b: mx.exp(a),
    "sum": lambda a, b: a,
    "softmax": lambda a, b: mx.softmax(a, axis=-1),
    "matmul": mx.matmul,
}


def ops(job: Job):
    op = OPS[job.op]
    a, b = map(mx.array, job.op_inputs())
    return lambda: {"number": mx.sum(op(a, b)).item()}


class Weights:
    """A checkpoint's tensors by name, in the job's dtype, and layers on them."""

    def __init__(self, job):
        self.tensors = {}
        for name in sorted(os.listdir(job.model)):
            if name.endswith(".safetensors"):
                self.tensors.update((k, v.astype(DTYPES[job.dtype])) for k, v in mx.load(job.file(name)).items())
        mx.eval(self.tensors)

    def linear(self, x, name):
        y = x @ self.tensors[name + ".weight"].T
        return y + self.tensors[name + ".bias"] if name + ".bias" in self.tensors else y

    def layer_norm(self, x, name):
        return mx.fast.layer_norm(x, self.tensors[name + ".weight"], self.tensors[name + ".bias"], 1e-12)

    def attention(self, x, heads, query, key, value):
        """x [T, hidden], every token to every other."""
        q, k, v = (self.linear(x, name).reshape(1, x.shape[0], heads, -1).transpose(0, 2, 1, 3) for name in (query, key, value))
        return mx.fast.scaled_dot_product_attention(q, k, v, scale=q.shape[-1] ** -0.5).transpose(0, 2, 1, 3).reshape(x.shape[0], -1)


def gelu(x):
    return x * (1 + mx.erf(x / math.sqrt(2))) / 2


def distilbert(job: Job):
    w, c, encode = Weights(job), job.config(), job.pair_ids()
    at = "distilbert.embeddings."

    def call():
        ids, allowed = encode()
        x = w.tensors[at + "word_embeddings.weight"][mx.array(ids)] + w.tensors[at + "position_embeddings.weight"][:len(ids)]
        x = w.layer_norm(x, at + "LayerNorm")
        for i in range(c["n_layers"]):
            l = f"distilbert.transformer.layer.{i}."
            a = w.attention(x, c["n_heads"], *(f"{l}attention.{n}_lin" for n in "qkv"))
            x = w.layer_norm(x + w.linear(a, l + "attention.out_lin"), l + "sa_layer_norm")
            x = w.layer_norm(x + w.linear(gelu(w.linear(x, l + "ffn.lin1")), l + "ffn.lin2"), l + "output_layer_norm")
        scores = w.linear(x, "qa_outputs").astype(mx.float32).tolist()
        return best_span(*zip(*scores), allowed)
    return call


def vit(job: Job):
    w, c, pixels = Weights(job), job.config(), job.pixels()
    at, patch = "vit.embeddings.", c["patch_size"]
    side = c["image_size"] // patch
    projection = w.tensors[at + "patch_embeddings.projection.weight"].reshape(c["hidden_size"], -1).T

    def call():
        x = mx.array(pixels()).astype(projection.dtype).reshape(3, side, patch, side, patch).transpose(1, 3, 0, 2, 4).reshape(side * side, -1)
        x = x @ projection + w.tensors[at + "patch_embeddings.projection.bias"]
        x = mx.concatenate([w.tensors[at + "cls_token"][0], x]) + w.tensors[at + "position_embeddings"][0]
        for i in range(c["num_hidden_layers"]):
            l = f"vit.encoder.layer.{i}."
            a = w.attention(w.layer_norm(x, l + "layernorm_before"), c["num_attention_heads"], *(f"{l}attention.attention.{n}" for n in ("query", "key", "value")))
            x = x + w.linear(a, l + "attention.output.dense")
            h = gelu(w.linear(w.layer_norm(x, l + "layernorm_after"), l + "intermediate.dense"))
            x = x + w.linear(h, l + "output.dense")
        return {"label": mx.argmax(w.linear(w.layer_norm(x[:1], "vit.layernorm"), "classifier")[0]).item()}
    return call


class Qwen3(Weights):
    """The decoder on mlx.fast, as in mlx-lm, with a cache that grows."""

    def __init__(self, job):
        super().__init__(job)
        c = job.qwen3_config()
        self.heads, self.kv_heads, self.size = c["num_attention_heads"], c["num_key_value_heads"], c["head_dim"]
        self.eps, self.theta, self.layers = c["rms_norm_eps"], c["rope_theta"], c["num_hidden_layers"]
        self.head = self.tensors["model.embed_tokens.weight" if c["tie_word_embeddings"] else "lm_head.weight"]

    def norm(self, x, name):
        return mx.fast.rms_norm(x, self.tensors[name + ".weight"], self.eps)

    def split(self, x, norm=None):
        """[1, T, heads * size] to [1, heads, T, size], each head normalised."""
        x = x.reshape(1, x.shape[1], -1, self.size)
        return (self.norm(x, norm) if norm else x).transpose(0, 2, 1, 3)

    def step(self, cache, ids, first):
        """Run ids from position first on; returns the last one's logits."""
        x = self.tensors["model.embed_tokens.weight"][ids][None]
        rotate = lambda x: mx.fast.rope(x, self.size, traditional=False, base=self.theta, scale=1.0, offset=first)
        for i in range(self.layers):
            at = f"model.layers.{i}."
            h = self.norm(x, at + "input_layernorm")
            q = rotate(self.split(self.linear(h, at + "self_attn.q_proj"), at + "self_attn.q_norm"))
            k = rotate(self.split(self.linear(h, at + "self_attn.k_proj"), at + "self_attn.k_norm"))
            v = self.split(self.linear(h, at + "self_attn.v_proj"))
            if i in cache:
                k, v = mx.concatenate([cache[i][0], k], 2), mx.concatenate([cache[i][1], v], 2)
            cache[i] = k, v
            a = mx.fast.scaled_dot_product_attention(q, k, v, scale=self.size ** -0.5, mask="causal" if q.shape[2] > 1 else None)
            x = x + self.linear(a.transpose(0, 2, 1, 3).reshape(1, x.shape[1], -1), at + "self_attn.o_proj")
            h = self.norm(x, at + "post_attention_layernorm")
            gate = self.linear(h, at + "mlp.gate_proj")
            x = x + self.linear(gate * mx.sigmoid(gate) * self.linear(h, at + "mlp.up_proj"), at + "mlp.down_proj")
        return self.norm(x[0, -1:], "model.norm") @ self.head.T


def qwen3(job: Job):
    model, prompt = job.loaded(lambda: Qwen3(job)), job.prompt_ids()

    def call():
        cache, tokens, first = {}, [], 0
        ids = mx.array(prompt())
        while len(tokens) < job.new_tokens:
            token = mx.argmax(model.step(cache, ids, first)[0]).reshape(1)
            first += ids.shape[0]
            ids = token
            tokens.append(token.item())
        return {"tokens": tokens}
    return call


mx.set_default_device(mx.gpu if GPU else mx.cpu)
serve(f"mlx {mx.__version__}", "GPU" if GPU else f"CPU device, {blas}", {"1": ops, "2": distilbert, "3": qwen3, "4": vit, "addendum": qwen3}, "GPU" if GPU else "CPU")
