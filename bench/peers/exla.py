"""XLA on the CPU, through JAX: what an EXLA user gets. Whole calls are jitted, caches have a static size, and matrices are
stored as XLA likes them, [in, out]."""
import glob
import math
import os

from lanes import Job, absent, best_span, serve

try:
    import jax
    import jax.numpy as jnp
    import numpy as np
    from safetensors.numpy import load_file
except ImportError as e:
    absent(f"{e.name} is not installed")

DTYPES = {"f32": jnp.float32, "bf16": jnp.bfloat16}
OPS = {
    "add": jnp.add,
    "mul": jnp.multiply,
    "exp": lambda a, b: jnp.exp(a),
    "sum": lambda a, b: a,
    "softmax": lambda a, b: jax.nn.softmax(a, axis=-1),
    "matmul": jnp.matmul,
}


class Weights:
    """A checkpoint's tensors by name, in the job's dtype."""

    def __init__(self, job):
        self.dtype = DTYPES[job.dtype]
        self.tensors = {}
        for path in sorted(glob.glob(job.file("*.safetensors"))):
            self.tensors.update(load_file(path))

    def vector(self, name):
        return jnp.asarray(self.tensors[name], self.dtype)

    def matrix(self, *names):
        """Linear layers of one input side by side, [in, out]."""
        stacked = np.concatenate([self.tensors[n].reshape(self.tensors[n].shape[0], -1) for n in names])
        return jnp.asarray(np.ascontiguousarray(stacked.T), self.dtype)

    def linear(self, name):
        bias = self.vector(name + ".bias") if name + ".bias" in self.tensors else jnp.zeros((), self.dtype)
        return self.matrix(name + ".weight"), bias

    def norm(self, name):
        return self.vector(name + ".weight"), self.vector(name + ".bias")


def apply(layer, x):
    return x @ layer[0] + layer[1]


def layer_norm(x, norm, eps):
    h = x.astype(jnp.float32)
    h = (h - h.mean(-1, keepdims=True)) * jax.lax.rsqrt(h.var(-1, keepdims=True) + eps)
    return h.astype(x.dtype) * norm[0] + norm[1]


def rms_norm(x, weight, eps):
    h = x.astype(jnp.float32)
    return (h * jax.lax.rsqrt((h * h).mean(-1, keepdims=True) + eps)).astype(x.dtype) * weight


def attention(q, k, v, heads, mask=None):
    """q [T, D], k and v [S, D], mask [T, S]."""
    split = lambda x: x.reshape(x.shape[0], heads, -1)
    q, k, v = split(q), split(k), split(v)
    scores = jnp.einsum("thd,shd->hts", q, k).astype(jnp.float32) / math.sqrt(q.shape[-1])
    if mask is not None:
        scores = jnp.where(mask, scores, -jnp.inf)
    weights = jax.nn.softmax(scores, -1).astype(v.dtype)
    return jnp.einsum("hts,shd->thd", weights, v).reshape(q.shape[0], -1)


def gelu(x):
    return jax.nn.gelu(x, approximate=False)


def cached(tier):
    """The tier with programs that an earlier run may have compiled, as EXLA keeps them too."""
    def load(job):
        jax.config.update("jax_compilation_cache_dir", os.path.join(job.cache, "xla"))
        return tier(job)
    return load


def ops(job: Job):
    op = OPS[job.op]
    run = jax.jit(lambda a, b: jnp.sum(op(a, b)))
    a, b = map(jnp.asarray, job.op_inputs())
    return lambda: {"number": float(run(a, b))}


def distilbert(job: Job):
    w, config = Weights(job), job.config()
    layers = []
    for i in range(config["n_layers"]):
        at = f"distilbert.transformer.layer.{i}."
        layers.append({
            "q": w.linear(at + "attention.q_lin"), "k": w.linear(at + "attention.k_lin"), "v": w.linear(at + "attention.v_lin"),
            "out": w.linear(at + "attention.out_lin"), "norm1": w.norm(at + "sa_layer_norm"),
            "up": w.linear(at + "ffn.lin1"), "down": w.linear(at + "ffn.lin2"), "norm2": w.norm(at + "output_layer_norm"),
        })
    embeddings = "distilbert.embeddings."
    params = {"layers": layers, "words": w.vector(embeddings + "word_embeddings.weight"),
              "positions": w.vector(embeddings + "position_embeddings.weight"), "norm": w.norm(embeddings + "LayerNorm"), "head": w.linear("qa_outputs")}

    @jax.jit
    def logits(p, ids):
        x = layer_norm(p["words"][ids] + p["positions"][:ids.shape[0]], p["norm"], 1e-12)
        for l in p["layers"]:
            a = attention(apply(l["q"], x), apply(l["k"], x), apply(l["v"], x), config["n_heads"])
            x = layer_norm(x + apply(l["out"], a), l["norm1"], 1e-12)
            x = layer_norm(x + apply(l["down"], gelu(apply(l["up"], x))), l["norm2"], 1e-12)
        return apply(p["head"], x).astype(jnp.float32)

    encode = job.pair_ids()

    def call():
        ids, allowed = encode()
        scores = np.asarray(logits(params, jnp.asarray(ids)))
        return best_span(scores[:, 0], scores[:, 1], allowed)
    return call


def qwen3_weights(job, c):
    w, layers = Weights(job), []
    for i in range(c["num_hidden_layers"]):
        at = f"model.layers.{i}."
        layers.append({
            "qkv": w.matrix(*(at + f"self_attn.{n}_proj.weight" for n in "qkv")), "out": w.matrix(at + "self_attn.o_proj.weight"),
            "gate_up": w.matrix(at + "mlp.gate_proj.weight", at + "mlp.up_proj.weight"), "down": w.matrix(at + "mlp.down_proj.weight"),
            "norm1": w.vector(at + "input_layernorm.weight"), "norm2": w.vector(at + "post_attention_layernorm.weight"),
            "q_norm": w.vector(at + "self_attn.q_norm.weight"), "k_norm": w.vector(at + "self_attn.k_norm.weight"),
        })
    head = "model.embed_tokens.weight" if c["tie_word_embeddings"] else "lm_head.weight"
    return {"layers": layers, "words": w.vector("model.embed_tokens.weight"), "norm": w.vector("model.norm.weight"), "head": w.matrix(head)}


def qwen3(job: Job):
    c, dtype = job.qwen3_config(), DTYPES[job.dtype]
    heads, kv_heads, size, eps = c["num_attention_heads"], c["num_key_value_heads"], c["head_dim"], c["rms_norm_eps"]
    theta, n_layers, inner = c["rope_theta"], c["num_hidden_layers"], c["intermediate_size"]
    params = job.loaded(lambda: qwen3_weights(job, c))

    def rotate(x, positions):
        angle = positions[:, None] * theta ** (-jnp.arange(0, size, 2, dtype=jnp.float32) / size)
        cos, sin = jnp.cos(angle)[:, None].astype(dtype), jnp.sin(angle)[:, None].astype(dtype)
        a, b = jnp.split(x, 2, -1)
        return jnp.concatenate([a * cos - b * sin, b * cos + a * sin], -1)

    def step(p, cache, ids, first):
        """Run ids from position first on; returns the last one's logits and the cache."""
        rows, capacity = ids.shape[0], cache[0][0].shape[0]
        positions = first + jnp.arange(rows)
        visible = jnp.arange(capacity)[None] <= positions[:, None]
        x, filled = p["words"][ids], []
        for l, (keys, values) in zip(p["layers"], cache):
            qkv = (rms_norm(x, l["norm1"], eps) @ l["qkv"]).reshape(rows, -1, size)
            q, k, v = jnp.split(qkv, [heads, heads + kv_heads], 1)
            q, k = rotate(rms_norm(q, l["q_norm"], eps), positions), rotate(rms_norm(k, l["k_norm"], eps), positions)
            keys = jax.lax.dynamic_update_slice(keys, k, (first, 0, 0))
            values = jax.lax.dynamic_update_slice(values, v, (first, 0, 0))
            filled.append((keys, values))
            q = q.reshape(rows, kv_heads, heads // kv_heads, size)
            scores = jnp.einsum("tkgd,skd->kgts", q, keys).astype(jnp.float32) / math.sqrt(size)
            weights = jax.nn.softmax(jnp.where(visible, scores, -jnp.inf), -1).astype(dtype)
            x = x + jnp.einsum("kgts,skd->tkgd", weights, values).reshape(rows, -1) @ l["out"]
            gate_up = rms_norm(x, l["norm2"], eps) @ l["gate_up"]
            x = x + (jax.nn.silu(gate_up[:, :inner]) * gate_up[:, inner:]) @ l["down"]
        return (rms_norm(x[-1:], p["norm"], eps) @ p["head"])[0], filled

    new = job.new_tokens

    @jax.jit
    def generate(p, ids):
        shape = (ids.shape[0] + new, kv_heads, size)
        cache = [(jnp.zeros(shape, dtype), jnp.zeros(shape, dtype)) for _ in range(n_layers)]
        logits, cache = step(p, cache, ids, 0)
        tokens = jnp.zeros(new, jnp.int32).at[0].set(jnp.argmax(logits))

        def body(i, carry):
            tokens, cache = carry
            logits, cache = step(p, cache, tokens[i - 1][None], ids.shape[0] + i - 1)
            return tokens.at[i].set(jnp.argmax(logits)), cache
        return jax.lax.fori_loop(1, new, body, (tokens, cache))[0]

    prompt = job.prompt_ids()
    return lambda: {"tokens": np.asarray(generate(params, jnp.asarray(prompt()))).tolist()}


def vit(job: Job):
    w, c = Weights(job), job.config()
    layers = []
    for i in range(c["num_hidden_layers"]):
        at = f"vit.encoder.layer.{i}."
        layers.append({
            "q": w.linear(at + "attention.attention.query"), "k": w.linear(at + "attention.attention.key"),
            "v": w.linear(at + "attention.attention.value"), "out": w.linear(at + "attention.output.dense"),
            "norm1": w.norm(at + "layernorm_before"), "norm2": w.norm(at + "layernorm_after"),
            "up": w.linear(at + "intermediate.dense"), "down": w.linear(at + "output.dense"),
        })
    at, patch = "vit.embeddings.", c["patch_size"]
    side = c["image_size"] // patch
    params = {"layers": layers, "patches": w.linear(at + "patch_embeddings.projection"), "class": w.vector(at + "cls_token")[0],
              "positions": w.vector(at + "position_embeddings")[0], "norm": w.norm("vit.layernorm"), "head": w.linear("classifier")}

    @jax.jit
    def label(p, image):
        x = image.reshape(3, side, patch, side, patch).transpose(1, 3, 0, 2, 4).reshape(side * side, -1)
        x = jnp.concatenate([p["class"], apply(p["patches"], x)]) + p["positions"]
        for l in p["layers"]:
            h = layer_norm(x, l["norm1"], 1e-12)
            x = x + apply(l["out"], attention(apply(l["q"], h), apply(l["k"], h), apply(l["v"], h), c["num_attention_heads"]))
            x = x + apply(l["down"], gelu(apply(l["up"], layer_norm(x, l["norm2"], 1e-12))))
        return jnp.argmax(apply(p["head"], layer_norm(x[:1], p["norm"], 1e-12))[0])

    pixels = job.pixels()
    return lambda: {"label": int(label(params, jnp.asarray(pixels(), w.dtype)))}


def whisper(job: Job):
    w, c = Weights(job), job.config()

    def block(at, cross):
        names = {"q": "self_attn.q_proj", "k": "self_attn.k_proj", "v": "self_attn.v_proj", "out": "self_attn.out_proj", "up": "fc1", "down": "fc2"}
        norms = {"norm1": "self_attn_layer_norm", "norm2": "final_layer_norm"}
        if cross:
            names.update({"q2": "encoder_attn.q_proj", "k2": "encoder_attn.k_proj", "v2": "encoder_attn.v_proj", "out2": "encoder_attn.out_proj"})
            norms["norm3"] = "encoder_attn_layer_norm"
        return {**{k: w.linear(at + v) for k, v in names.items()}, **{k: w.norm(at + v) for k, v in norms.items()}}

    encoder, decoder = "model.encoder.", "model.decoder."
    convolution = lambda name: (jnp.asarray(w.tensors[name + ".weight"], w.dtype), w.vector(name + ".bias"))
    params = {
        "conv1": convolution(encoder + "conv1"), "conv2": convolution(encoder + "conv2"), "sound": w.vector(encoder + "embed_positions.weight"),
        "encoder": [block(f"{encoder}layers.{i}.", False) for i in range(c["encoder_layers"])], "encoder_norm": w.norm(encoder + "layer_norm"),
        "words": w.vector(decoder + "embed_tokens.weight"), "positions": w.vector(decoder + "embed_positions.weight"),
        "decoder": [block(f"{decoder}layers.{i}.", True) for i in range(c["decoder_layers"])], "decoder_norm": w.norm(decoder + "layer_norm"),
        "head": w.matrix(decoder + "embed_tokens.weight"),
    }
    heads, width, new, dtype = c["decoder_attention_heads"], c["d_model"], job.new_tokens, w.dtype

    def convolve(layer, x, stride):  # x [channels, frames]
        y = jax.lax.conv_general_dilated(x[None], layer[0], (stride,), [(1, 1)])[0]
        return gelu(y + layer[1][:, None])

    def mlp(l, x):
        return x + apply(l["down"], gelu(apply(l["up"], layer_norm(x, l["norm2"], 1e-5))))

    @jax.jit
    def transcribe(p, features):
        x = convolve(p["conv2"], convolve(p["conv1"], features, 1), 2).T + p["sound"]
        for l in p["encoder"]:
            h = layer_norm(x, l["norm1"], 1e-5)
            x = mlp(l, x + apply(l["out"], attention(apply(l["q"], h), apply(l["k"], h), apply(l["v"], h), c["encoder_attention_heads"])))
        x = layer_norm(x, p["encoder_norm"], 1e-5)
        heard = [(apply(l["k2"], x), apply(l["v2"], x)) for l in p["decoder"]]

        def body(i, carry):
            tokens, cache = carry
            y, filled = p["words"][tokens[i]][None] + p["positions"][i], []
            for l, (keys, values), (k2, v2) in zip(p["decoder"], cache, heard):
                h = layer_norm(y, l["norm1"], 1e-5)
                keys = jax.lax.dynamic_update_slice(keys, apply(l["k"], h), (i, 0))
                values = jax.lax.dynamic_update_slice(values, apply(l["v"], h), (i, 0))
                filled.append((keys, values))
                y = y + apply(l["out"], attention(apply(l["q"], h), keys, values, heads, jnp.arange(new)[None] <= i))
                y = y + apply(l["out2"], attention(apply(l["q2"], layer_norm(y, l["norm3"], 1e-5)), k2, v2, heads))
                y = mlp(l, y)
            logits = (layer_norm(y, p["decoder_norm"], 1e-5) @ p["head"])[0].at[c["eos_token_id"]].set(-jnp.inf)
            return tokens.at[i + 1].set(jnp.argmax(logits)), filled

        blank = [(jnp.zeros((new, width), dtype), jnp.zeros((new, width), dtype)) for _ in p["decoder"]]
        tokens = jnp.zeros(new + 1, jnp.int32).at[0].set(c["decoder_start_token_id"])
        return jax.lax.fori_loop(0, new, body, (tokens, blank))[0][1:]

    features = job.features()
    return lambda: {"tokens": np.asarray(transcribe(params, jnp.asarray(features()[0], dtype))).tolist()}


serve(f"jax {jax.__version__}", "jit of the whole call, static cache, matrices [in, out]",
      {"1": ops, **{tier: cached(f) for tier, f in {"2": distilbert, "3": qwen3, "4": vit, "5": whisper, "addendum": qwen3}.items()}})
