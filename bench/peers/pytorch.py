"""PyTorch with transformers: eager, or with --compile under torch.compile; on the CPU or on a GPU."""
import math
import os
import sys

from lanes import Absent, Job, absent, best_span, serve

try:
    import torch
    import transformers
except ImportError as e:
    absent(f"{e.name} is not installed")

COMPILED = "--compile" in sys.argv
DTYPES = {"f32": torch.float32, "bf16": torch.bfloat16}
OPS = {
    "add": torch.add,
    "mul": torch.mul,
    "exp": lambda a, b: torch.exp(a),
    "sum": lambda a, b: a,
    "softmax": lambda a, b: torch.softmax(a, -1),
    "matmul": torch.matmul,
}


def compiled(f, job):
    """f under torch.compile; on a GPU its kernels are replayed as a CUDA graph."""
    return torch.compile(f, dynamic=False, mode="reduce-overhead" if job.device == "cuda" else None) if COMPILED else f


def load(job, cls):
    return job.loaded(lambda: getattr(transformers, cls).from_pretrained(job.model, dtype=DTYPES[job.dtype]).eval().to(job.device))


def present(tier):
    """The tier where the device is there. A call ends with a number or a list read back, and so when the device has done its work."""
    def load(job):
        if job.device == "cuda" and not torch.cuda.is_available():
            raise Absent("torch finds no GPU")
        return tier(job)
    return load


def warm(tier):
    """A compiled tier's first calls belong to its loading: they compile, and after the first one more than is kept."""
    def load(job):
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = os.path.join(job.cache, "inductor")
        call = tier(job)
        for _ in range(2):
            call()
        return call
    return load if COMPILED else tier


def ops(job: Job):
    op = OPS[job.op]
    run = compiled(lambda a, b: torch.sum(op(a, b)), job)
    a, b = (torch.from_numpy(x).to(job.device) for x in job.op_inputs())
    return lambda: {"number": run(a, b).item()}


def distilbert(job: Job):
    model, encode = compiled(load(job, "DistilBertForQuestionAnswering"), job), job.pair_ids()

    def call():
        ids, allowed = encode()
        out = model(input_ids=torch.tensor([ids], device=job.device))
        return best_span(out.start_logits[0].float().cpu(), out.end_logits[0].float().cpu(), allowed)
    return call


def qwen3(job: Job):
    model, prompt = load(job, "Qwen3ForCausalLM"), job.prompt_ids()
    model.generation_config.eos_token_id = None
    model.generation_config.pad_token_id = 0
    options = dict(max_new_tokens=job.new_tokens, do_sample=False)
    if COMPILED:
        options["cache_implementation"] = "static"
        if job.device == "cpu":  # on a GPU generate compiles by itself
            model.forward = compiled(type(model).forward.__get__(model), job)

    def call():
        ids = torch.tensor([prompt()], device=job.device)
        out = model.generate(ids, attention_mask=torch.ones_like(ids), **options)
        return {"tokens": out[0, ids.shape[1]:].tolist()}
    return call


def vit(job: Job):
    model, pixels = compiled(load(job, "ViTForImageClassification"), job), job.pixels()
    return lambda: {"label": model(pixel_values=torch.from_numpy(pixels())[None].to(job.device, DTYPES[job.dtype])).logits.argmax().item()}


def whisper(job: Job):
    model, features, c = load(job, "WhisperForConditionalGeneration"), job.features(), job.config()
    encoder = compiled(model.model.encoder, job)  # the decoder stays eager: its cache grows with every step

    def call():
        heard = encoder(torch.from_numpy(features()).to(job.device, DTYPES[job.dtype]))
        token, cache, tokens = c["decoder_start_token_id"], None, []
        while len(tokens) < job.new_tokens:
            out = model(encoder_outputs=heard, decoder_input_ids=torch.tensor([[token]], device=job.device), past_key_values=cache, use_cache=True)
            cache, logits = out.past_key_values, out.logits[0, -1]
            logits[c["eos_token_id"]] = -math.inf
            token = logits.argmax().item()
            tokens.append(token)
        return {"tokens": tokens}
    return call


torch.set_num_threads(int(os.environ.get("EMILY_BENCH_THREADS", "0")) or os.cpu_count())
torch.set_grad_enabled(False)
how = "torch.compile; static cache in tier 3; the encoder alone in tier 5" if COMPILED else "eager"
serve(f"torch {torch.__version__}, transformers {transformers.__version__}", how,
      {tier: present(warm(f)) for tier, f in {"1": ops, "2": distilbert, "3": qwen3, "4": vit, "5": whisper, "addendum": qwen3}.items()})
