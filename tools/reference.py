#!/usr/bin/env python3
"""Compute reference outputs of a checkpoint with transformers.

    tools/reference.py MODEL OUT/NAME [--text TEXT ...] [--ids ID,ID,... ...]     decoders, BERT
    tools/reference.py MODEL OUT/NAME --text QUESTION CONTEXT                     question answering
    tools/reference.py MODEL OUT/NAME [--image FILE ...]                          ViT
    tools/reference.py MODEL OUT/NAME [--audio FILE.wav ...]                      Whisper

MODEL is a Hugging Face folder. Writes OUT/NAME.json, the inputs and the ids of
every case, and OUT/NAME.safetensors, f32 tensors whose names start with the
number of the case. The weights are taken as stored and computed in f32, with
eager attention on the CPU. Without inputs each kind has one of its own.

What is written per case (T tokens, the batch dimension is dropped):

    decoder   logits [T, vocab], final [T, hidden] after the last norm; greedy_ids: --steps arg-max
              tokens that no end token stops; min_gap: smallest distance of the two best logits on the way
    BERT      last_hidden_state [T, hidden]; pooler_output [hidden] if the model has a pooler
    QA        start_logits, end_logits [T]; span: the best pair of positions in the context, at most 15 tokens
    ViT       pixel_values [3, H, W], logits [labels]; top: the five best labels
    Whisper   features [mel, frames], encoder [positions, hidden], prefix_logits [prefix, vocab];
              plain and suppressed: arg-max tokens after the prefix, without and with suppression

Case 0 also has hidden.0, the output of the embedding, and hidden.i, that of
layer i; for Whisper encoder_hidden.i and decoder_hidden.i.

Needs torch and transformers, and pillow for ViT.
"""

import argparse
import contextlib
import json
import math
import wave
from pathlib import Path

import torch
import transformers
from safetensors.torch import save_file

TEXT = "The quick brown fox jumps over the lazy dog."
QUESTION = ["What does the fox jump over?", "The quick brown fox jumps over the lazy dog."]
LONGEST_ANSWER = 15  # tokens


class Cases:
    """The cases of one model and their tensors."""

    def __init__(self):
        self.cases, self.tensors = [], {}

    def add(self, description, tensors, **hidden):
        """Add a case; hidden are lists of layer outputs with a batch of one, kept for the first case."""
        number = len(self.cases)
        self.cases.append(description)
        for name, tensor in tensors.items():
            self.tensors[f"{number}.{name}"] = tensor
        if number == 0:
            for name, outputs in hidden.items():
                first = 0 if name == "hidden" else 1  # hidden.0 is the embedding
                for i, output in enumerate(outputs, first):
                    self.tensors[f"0.{name}.{i}"] = output[0]

    def save(self, path):
        path.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps({"cases": self.cases}, indent=1, ensure_ascii=True)
        path.with_name(path.name + ".json").write_text(text + "\n")
        save_file({k: v.detach().float().contiguous().clone() for k, v in self.tensors.items()},
                  path.with_name(path.name + ".safetensors"))


@contextlib.contextmanager
def outputs_of(*modules):
    """Collect what each module returns, in the order of the modules."""
    found = [None] * len(modules)

    def keep(i):
        def hook(module, args, output):
            found[i] = (output[0] if isinstance(output, tuple) else output).clone()
        return hook

    handles = [m.register_forward_hook(keep(i)) for i, m in enumerate(modules)]
    try:
        yield found
    finally:
        for handle in handles:
            handle.remove()


def layers_of(model, *names):
    """The list of layers under the first of these dotted names that exists: releases of transformers differ."""
    for name in names:
        with contextlib.suppress(AttributeError):
            return list(model.get_submodule(name))
    raise SystemExit(f"{type(model).__name__} has its layers in none of {', '.join(names)}")


def greedy(step, first, count, choose=lambda row, i: row, stop=None):
    """Choose the best token count times. step(x) gives the logits after the tokens x."""
    ids, gap, x = [], math.inf, first
    for i in range(count):
        best = choose(step(x).clone(), i).topk(2)
        gap = min(gap, float(best.values[0] - best.values[1]))
        ids.append(int(best.indices[0]))
        if ids[-1] == stop:
            break
        x = ids[-1:]
    return ids, round(gap, 5)


def decoder(model, args, cases):
    def cached():
        past = None

        def step(x):
            nonlocal past
            r = model(input_ids=torch.tensor([x]), past_key_values=past, use_cache=True)
            past = r.past_key_values
            return r.logits[0, -1]
        return step

    inputs = [{"input_ids": ids} for ids in args.ids]
    texts = args.text or ([] if inputs else [TEXT])
    if texts:
        tokenizer = transformers.AutoTokenizer.from_pretrained(args.model)
        inputs += [{"text": text, "input_ids": tokenizer(text)["input_ids"]} for text in texts]
    for case in inputs:
        with outputs_of(model.model.embed_tokens, *model.model.layers, model.model.norm) as hidden:
            logits = model(input_ids=torch.tensor([case["input_ids"]]), use_cache=False).logits[0]
        case["greedy_ids"], case["min_gap"] = greedy(cached(), case["input_ids"], args.steps)
        if texts:
            case["greedy_text"] = tokenizer.decode(case["greedy_ids"], skip_special_tokens=False)
        cases.add(case, {"logits": logits, "final": hidden[-1][0]}, hidden=hidden[:-1])


def bert(model, args, cases):
    inputs = [{"input_ids": ids, "token_type_ids": [0] * len(ids)} for ids in args.ids]
    texts = args.text or ([] if inputs else [TEXT])
    if texts:
        tokenizer = transformers.AutoTokenizer.from_pretrained(args.model)
        for text in texts:
            e = tokenizer(text)
            inputs.append({"text": [text], "input_ids": e["input_ids"], "token_type_ids": e["token_type_ids"]})
    for case in inputs:
        with outputs_of(model.embeddings, *model.encoder.layer) as hidden:
            r = model(**{k: torch.tensor([v]) for k, v in case.items() if k != "text"})
        tensors = {"last_hidden_state": r.last_hidden_state[0]}
        if r.pooler_output is not None:
            tensors["pooler_output"] = r.pooler_output[0]
        cases.add(case, tensors, hidden=hidden)


def answers(start, end, inside):
    """All spans of allowed positions with their score, best first."""
    return sorted(((float(start[a] + end[b]), a, b) for a in inside for b in inside if a <= b < a + LONGEST_ANSWER),
                  reverse=True)


def question_answering(model, args, cases):
    def forward(ids):
        with outputs_of(model.distilbert.embeddings, *model.distilbert.transformer.layer) as hidden:
            r = model(input_ids=torch.tensor([ids]))
        return r.start_logits[0], r.end_logits[0], hidden

    for ids in args.ids:
        start, end, hidden = forward(ids)
        cases.add({"input_ids": ids}, {"start_logits": start, "end_logits": end}, hidden=hidden)
    texts = args.text or ([] if args.ids else QUESTION)
    if len(texts) % 2:
        raise SystemExit("--text needs pairs of a question and a context for this model")
    for question, context in zip(texts[::2], texts[1::2]):
        from tokenizers import Tokenizer

        e = Tokenizer.from_file(str(args.model / "tokenizer.json")).encode(question, context)
        start, end, hidden = forward(e.ids)
        spans = answers(start, end, [i for i, part in enumerate(e.sequence_ids) if part == 1])
        score, a, b = spans[0]
        first, last = e.offsets[a][0], e.offsets[b][1]
        cases.add({"question": question, "context": context, "input_ids": e.ids, "span": [a, b],
                   "answer_offsets": [first, last], "answer": context[first:last], "logit_sum": round(score, 5),
                   "gap": round(score - spans[1][0], 5) if len(spans) > 1 else None,
                   "probability": float(start.softmax(0)[a] * end.softmax(0)[b])},
                  {"start_logits": start, "end_logits": end}, hidden=hidden)


def vit(model, args, cases):
    import numpy as np
    from PIL import Image
    from transformers.models.vit.image_processing_pil_vit import ViTImageProcessorPil

    files = args.image
    if not files:  # a picture whose bytes count up
        files = [args.out.with_name(args.out.name + ".png")]
        Image.fromarray((np.arange(224 * 224 * 3) % 256).astype(np.uint8).reshape(224, 224, 3)).save(files[0])
    processor = ViTImageProcessorPil.from_pretrained(args.model)
    for file in files:
        rgb = Image.open(file).convert("RGB")
        pixels = torch.tensor(np.asarray(processor(rgb)["pixel_values"][0])).unsqueeze(0)
        with outputs_of(model.vit.embeddings, *layers_of(model, "vit.layers", "vit.encoder.layer")) as hidden:
            logits = model(pixel_values=pixels).logits[0]
        top = logits.softmax(0).topk(min(5, len(logits)))
        cases.add({"image": file.name, "size": list(rgb.size),
                   "top": [[model.config.id2label[int(i)], float(p)] for p, i in zip(*top)]},
                  {"pixel_values": pixels[0], "logits": logits}, hidden=hidden)


def write_sine(file):
    """One second of 440 Hz at 16 kHz."""
    samples = [round(32767 * 0.5 * math.sin(2 * math.pi * 440 * i / 16000)) for i in range(16000)]
    with wave.open(str(file), "wb") as w:
        w.setparams((1, 2, 16000, 0, "NONE", ""))
        w.writeframes(b"".join(s.to_bytes(2, "little", signed=True) for s in samples))


def read_wave(file):
    import numpy as np

    with wave.open(str(file), "rb") as w:
        if (w.getframerate(), w.getsampwidth()) != (16000, 2):
            raise SystemExit(f"{file}: 16 bits at 16 kHz are needed, so that no resampling comes in between")
        samples = np.frombuffer(w.readframes(w.getnframes()), "<i2").reshape(-1, w.getnchannels())
    return (samples.astype(np.float32) / 32768).mean(axis=1)


def whisper_prefix(generation, language):
    prefix = [generation.decoder_start_token_id]
    if generation.is_multilingual:
        prefix += [generation.lang_to_id[f"<|{language}|>"], generation.task_to_id["transcribe"]]
    return prefix + [generation.no_timestamps_token_id]


def whisper(model, args, cases):
    extractor = transformers.WhisperFeatureExtractor.from_pretrained(args.model)
    generation = model.generation_config
    files = args.audio
    if not files:
        files = [args.out.with_name(args.out.name + ".wav")]
        write_sine(files[0])
    prefix = whisper_prefix(generation, args.language)

    def suppress(row, i):
        row[generation.suppress_tokens or []] = -torch.inf
        if i == 0:
            row[generation.begin_suppress_tokens or []] = -torch.inf
        return row

    for file in files:
        features = extractor(read_wave(file), sampling_rate=16000, return_tensors="pt").input_features
        with outputs_of(*model.model.encoder.layers) as encoder_hidden:
            encoded = model.model.encoder(features)

        def cached():
            past = None

            def step(x):
                nonlocal past
                r = model(encoder_outputs=encoded, decoder_input_ids=torch.tensor([x]), past_key_values=past, use_cache=True)
                past = r.past_key_values
                return r.logits[0, -1]
            return step

        with outputs_of(*model.model.decoder.layers) as decoder_hidden:
            logits = model(encoder_outputs=encoded, decoder_input_ids=torch.tensor([prefix])).logits[0]
        case = {"wav": file.name, "prefix": prefix}
        for kind, options in {"plain": {}, "suppressed": {"choose": suppress, "stop": generation.eos_token_id}}.items():
            ids, gap = greedy(cached(), prefix, args.steps, **options)
            case[kind] = {"ids": ids, "min_gap": gap}
        cases.add(case, {"features": features[0], "encoder": encoded.last_hidden_state[0], "prefix_logits": logits},
                  encoder_hidden=encoder_hidden, decoder_hidden=decoder_hidden)


KINDS = {
    "Qwen3ForCausalLM": decoder,
    "LlamaForCausalLM": decoder,
    "Qwen2ForCausalLM": decoder,
    "MistralForCausalLM": decoder,
    "BertModel": bert,
    "DistilBertForQuestionAnswering": question_answering,
    "ViTForImageClassification": vit,
    "WhisperForConditionalGeneration": whisper,
}


def load(path):
    """Load the model in f32; what is missing, left over or of another shape is an error."""
    name = json.loads((path / "config.json").read_text())["architectures"][0]
    if name not in KINDS:
        raise SystemExit(f"{path}: {name} is not known; there are {', '.join(KINDS)}")
    model, info = getattr(transformers, name).from_pretrained(
        path, dtype=torch.float32, attn_implementation="eager", output_loading_info=True)
    faults = {k: v for k, v in info.items() if v}
    if faults:
        raise SystemExit(f"{path} does not fit {name}: {faults}")
    return model.eval(), KINDS[name]


def arguments():
    def ids(text):
        return [int(i) for i in text.split(",")]

    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("model", type=Path, metavar="MODEL", help="Hugging Face folder")
    p.add_argument("out", type=Path, metavar="OUT/NAME", help="where to write, without suffix")
    p.add_argument("--text", nargs="+", default=[], help="texts; for question answering pairs of question and context")
    p.add_argument("--ids", nargs="+", type=ids, default=[], metavar="ID,ID", help="token ids instead of texts")
    p.add_argument("--image", nargs="+", type=Path, default=[], metavar="FILE")
    p.add_argument("--audio", nargs="+", type=Path, default=[], metavar="FILE", help="WAV, 16 bits, 16 kHz")
    p.add_argument("--language", default="en", help="language of the audio (default en)")
    p.add_argument("--steps", type=int, default=64, help="tokens to decode (default 64)")
    return p.parse_args()


def main():
    args = arguments()
    torch.set_num_threads(1)  # sums in a fixed order
    torch.set_grad_enabled(False)
    transformers.logging.set_verbosity_error()
    args.out.parent.mkdir(parents=True, exist_ok=True)
    model, run = load(args.model)
    cases = Cases()
    run(model, args, cases)
    cases.save(args.out)
    print(f"{args.out}.json, {args.out}.safetensors: {len(cases.cases)} cases")


if __name__ == "__main__":
    main()
