"""The peers' side of emily bench's protocol.

A peer reads one JSON object a line from standard input and answers each with one on standard output; its first line,
unasked, says what it is. The library stays loaded between requests, so emily times calls alone.

    <- {"version": "jax 0.10.2", "device": "CPU", "settings": "jit, static cache"}      or {"absent": "why"}
    -> {"do": "load", "job": {"tier": "3", "model": FOLDER, "device": "cpu", "dtype": "f32", ...}}
    <- {}                                                             or {"absent": "why"} or {"error": "what"}
    -> {"do": "call", "times": 30}
    <- {"output": {"number": 1.5}}           the last call's: number, span, tokens or label, by tier
"""
import functools
import hashlib
import json
import math
import multiprocessing
import os
import shutil
import sys
import traceback


class Absent(Exception):
    """The peer does not do this job; the text says why."""


def serve(version, settings, tiers, device="CPU"):
    """Answer requests. tiers maps a tier to a function of a Job that returns the call: a function without arguments."""
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print goes to standard error

    def say(**reply):
        out.write(json.dumps(reply) + "\n")
        out.flush()

    say(version=version, settings=settings, device=device)
    call = None
    for line in sys.stdin:
        request = json.loads(line)
        try:
            if request["do"] == "load":
                call = None
                job = Job(request["job"])
                if job.tier not in tiers:
                    raise Absent(f"no tier {job.tier}")
                call = tiers[job.tier](job)
                say(**({"dtype": job.own_dtype} if job.own_dtype else {}))
            else:
                for _ in range(request["times"]):
                    output = call()
                say(output=output)
        except Absent as e:
            say(absent=str(e))
        except Exception as e:
            traceback.print_exc()
            say(error=f"{type(e).__name__}: {e}".splitlines()[0][:500])


def absent(why):
    """End a peer that cannot run here at all."""
    print(json.dumps({"absent": why}), flush=True)
    sys.exit(0)


class Job:
    """What is to be run: the request's fields as attributes, and the inputs that every lane computes alike."""

    own_dtype = None  # set by a peer that computes in another dtype than it is asked for
    kept = {}  # what the last job loaded

    def __init__(self, fields):
        defaults = dict(op="", n=0, model="", cache="", ids=[], prompt="", prompt_tokens=0, question="", context="", new_tokens=0)
        self.__dict__.update(defaults, **fields)

    def loaded(self, load):
        """What load gives, or gave for the last job: cases of a tier share their model."""
        key = self.model, self.device, self.dtype
        if key not in self.kept:
            self.kept.clear()
            self.kept[key] = load()
        return self.kept[key]

    def converted(self, suffix, write):
        """The checkpoint in another format: a file or folder that write(path) makes once, in a child process, since what the
        conversion takes is not the lane's memory."""
        weights = [self.file(f) for f in os.listdir(self.model) if f.endswith(".safetensors")]
        path = os.path.join(self.cache, f"{os.path.basename(self.model)}-{hashlib.sha1(self.model.encode()).hexdigest()[:8]}{suffix}")
        if os.path.exists(path) and os.path.getmtime(path) >= max(map(os.path.getmtime, weights)):
            return path
        part = path + ".part"
        os.makedirs(self.cache, exist_ok=True)
        for old in (path, part):
            shutil.rmtree(old) if os.path.isdir(old) else os.path.exists(old) and os.remove(old)
        most = 2 * sum(map(os.path.getsize, weights)) + 10**9  # from bf16 to f32, and some to spare
        if shutil.disk_usage(self.cache).free < most:
            raise RuntimeError(f"{self.cache} has not the {most / 1e9:.1f} GB free that converting the checkpoint may take")
        result, reply = multiprocessing.Pipe(False)

        def work():
            try:
                write(part)
                reply.send("")
            except Exception as e:
                traceback.print_exc()
                reply.send(f"{type(e).__name__}: {e}")
        child = multiprocessing.get_context("fork").Process(target=work)
        child.start()
        reply.close()
        try:
            failure = result.recv()
        except EOFError:
            failure = "the conversion was killed, most likely for memory"
        child.join()
        if failure:
            raise RuntimeError(failure)
        os.utime(part)  # a renamed folder keeps its time
        os.rename(part, path)
        return path

    def file(self, name):
        return os.path.join(self.model, name)

    def config(self):
        with open(self.file("config.json")) as f:
            return json.load(f)

    def qwen3_config(self):
        """The configuration of a Qwen3, for peers whose forward pass is written by hand."""
        config = self.config()
        if config.get("attention_bias"):
            raise Absent("no biases in the attention")
        config.setdefault("rope_theta", config.get("rope_parameters", {}).get("rope_theta"))  # as transformers 5 writes it
        return config

    def tokenizer(self):
        """The checkpoint's tokenizer, None if it has none."""
        if not os.path.exists(self.file("tokenizer.json")):
            return None
        from tokenizers import Tokenizer
        return Tokenizer.from_file(self.file("tokenizer.json"))

    def pair_ids(self):
        """A function that gives the ids of question and context, and which tokens may be in the answer."""
        tokenizer = self.tokenizer()
        if tokenizer is None:
            return lambda: (self.ids, [True] * len(self.ids))

        def encode():
            e = tokenizer.encode(self.question, self.context)
            return e.ids, [s == 1 for s in e.sequence_ids]
        return encode

    def prompt_ids(self):
        """A function that gives the ids of the prompt, which is repeated where the job asks for a length."""
        tokenizer = self.tokenizer()

        def encode():
            ids = self.ids if tokenizer is None else tokenizer.encode(self.prompt).ids
            length = self.prompt_tokens or len(ids)
            return (ids * -(-length // len(ids)))[:length]
        return encode

    def op_inputs(self):
        """Tier 1: sin((iota + seed) / (n * n)), float32 [n, n], for seeds 1 and 2."""
        return [sines(self.n, seed) for seed in (1, 2)]

    def pixels(self):
        """Tier 4: a function that preprocesses the image: float32 [3, 224, 224]. It is of the model's size, so there is nothing to resize."""
        import numpy as np
        image = (np.arange(224 * 224 * 3) % 256).astype(np.uint8).reshape(224, 224, 3)
        with open(self.file("preprocessor_config.json")) as f:
            config = json.load(f)
        scale = np.float32(config.get("rescale_factor", 1 / 255))
        mean, std = (np.array(config[k], np.float32).reshape(3, 1, 1) for k in ("image_mean", "image_std"))
        return lambda: (image.transpose(2, 0, 1).astype(np.float32) * scale - mean) / std

    def features(self):
        """Tier 5: a function that computes the log-mel spectrogram of the sine, float32 [1, 80, 3000]."""
        import numpy as np
        from transformers import WhisperFeatureExtractor
        sound = np.sin(2 * math.pi * 440 * np.arange(16000) / 16000).astype(np.float32)
        extract = WhisperFeatureExtractor.from_pretrained(self.model)
        return lambda: extract(sound, sampling_rate=16000, return_tensors="np").input_features


@functools.cache
def sines(n, seed):
    import numpy as np
    iota = np.arange(n * n, dtype=np.float32).reshape(n, n)
    return np.sin(((iota + np.float32(seed)) / np.float32(n * n)).astype(np.float64)).astype(np.float32)


def best_span(start, end, allowed, longest=15):
    """The first and last token of the answer: the allowed span with the largest sum of logits."""
    import numpy as np
    score = np.asarray(start, np.float32)[:, None] + np.asarray(end, np.float32)[None]
    allowed = np.asarray(allowed)
    distance = np.arange(len(allowed))[None] - np.arange(len(allowed))[:, None]
    score[~(allowed[:, None] & allowed[None] & (distance >= 0) & (distance < longest))] = -np.inf
    first, last = np.unravel_index(score.argmax(), score.shape)
    return {"span": [int(first), int(last)]}
