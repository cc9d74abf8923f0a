"""CTranslate2 on a Whisper checkpoint that its own loader turned into its format once (kept in emily's cache). The argument is
the type that it computes in: float32, or int8, with weights quantized as it loads them."""
import json
import os
import sys

from lanes import Absent, Job, absent, serve

try:
    import ctranslate2
    import numpy as np
except ImportError as e:
    absent(f"{e.name} is not installed")

TYPE = sys.argv[1] if len(sys.argv) > 1 else "float32"


def no_timestamps(config):
    """The token that ends the prompt: without it the decoder weighs time stamps at each step, which no other lane does."""
    token = config.get("no_timestamps_token_id")
    if token is None:
        raise Absent("its checkpoint must tell no_timestamps_token_id")
    return token


def convert(job, path):
    """Write the model. Ids go in and out, so that the tokens may have any names but for those that the decoder looks up."""
    try:
        import transformers
        from ctranslate2.converters.transformers import WhisperLoader
    except ImportError as e:
        raise RuntimeError(f"{e.name} is not installed, which converts the model")
    model = transformers.WhisperForConditionalGeneration.from_pretrained(job.model)
    c, loader = model.config, WhisperLoader()
    names = [f"<{i}>" for i in range(c.vocab_size)]
    names[c.decoder_start_token_id], names[c.eos_token_id], names[no_timestamps(model.generation_config.to_dict())] = \
        "<|startoftranscript|>", "<|endoftext|>", "<|notimestamps|>"
    spec = loader.get_model_spec(model)
    loader.set_config(spec.config, model, None)
    loader.set_vocabulary(spec, names)
    spec.validate()
    spec.optimize()
    os.makedirs(path)
    spec.save(path)


def whisper(job: Job):
    with open(job.file("generation_config.json")) as f:
        prompt = [[job.config()["decoder_start_token_id"], no_timestamps(json.load(f))]]
    path = job.converted(".ctranslate2", lambda path: convert(job, path))
    model = ctranslate2.models.Whisper(path, device="cpu", compute_type=TYPE, intra_threads=job.threads, inter_threads=1)
    features, c, new = job.features(), job.config(), job.new_tokens
    # max_length is of the prompt and text before too, so that half of it is left for the text.
    options = dict(beam_size=1, max_length=2 * new, suppress_tokens=[c["eos_token_id"]], suppress_blank=False)

    def call():
        result = model.generate(ctranslate2.StorageView.from_array(np.ascontiguousarray(features())), prompt, **options)
        tokens = result[0].sequences_ids[0]
        if len(tokens) != new:  # another count would be another amount of work
            raise RuntimeError(f"{len(tokens)} tokens instead of {new}")
        return {"tokens": tokens}
    return call


serve(f"ctranslate2 {ctranslate2.__version__}", f"{TYPE}, beam 1, a prompt of two tokens", {"5": whisper})
