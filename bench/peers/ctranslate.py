"""CTranslate2 on a Whisper checkpoint that its converter turned into its own format once (kept in emily's cache)."""
import os

from lanes import Absent, Job, absent, serve

try:
    import ctranslate2
    import numpy as np
except ImportError as e:
    absent(f"{e.name} is not installed")


def convert(job):
    path = os.path.join(job.cache, os.path.basename(job.model) + ".ctranslate2")
    if not os.path.exists(os.path.join(path, "model.bin")):
        if not os.path.exists(job.file("tokenizer.json")):
            raise Absent("its converter needs the checkpoint's tokenizer")
        try:
            from ctranslate2.converters import TransformersConverter
            import transformers  # noqa: F401, the converter needs it
        except ImportError as e:
            raise Absent(f"{e.name} is not installed, which converts the model")
        TransformersConverter(job.model).convert(path, force=True)
    return path


def whisper(job: Job):
    if job.dtype != "f32":
        raise Absent("f32 only")
    model = ctranslate2.models.Whisper(convert(job), device="cpu", compute_type="float32", intra_threads=job.threads, inter_threads=1)
    features, c, new = job.features(), job.config(), job.new_tokens
    prompt = [[c["decoder_start_token_id"]]]
    options = dict(beam_size=1, max_length=1 + new, suppress_tokens=[c["eos_token_id"]], suppress_blank=False)

    def call():
        result = model.generate(ctranslate2.StorageView.from_array(np.ascontiguousarray(features())), prompt, **options)
        tokens = result[0].sequences_ids[0]
        if len(tokens) != new:  # another count would be another amount of work
            raise RuntimeError(f"{len(tokens)} tokens instead of {new}")
        return {"tokens": tokens}
    return call


serve(f"ctranslate2 {ctranslate2.__version__}", "float32, beam 1", {"5": whisper})
