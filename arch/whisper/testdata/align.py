#!/usr/bin/env python3
"""Align text with sound as openai-whisper's find_alignment does, on transformers' attention.

    align.py MODEL TENSORS OUT.json ID,ID,...                 the matrix of a tiny model's features (TENSORS: 0.features)
    align.py MODEL AUDIO.flac OUT.json TEXT                   the time at which each token of a text starts and the last ends

Needs torch, transformers and soundfile.
"""

import json
import sys

import numpy as np
import torch
import transformers
from safetensors.torch import load_file
from transformers.models.whisper.generation_whisper import _dynamic_time_warping, _median_filter

path, source, out, text = sys.argv[1:]
torch.set_grad_enabled(False)
torch.set_num_threads(1)
model = transformers.WhisperForConditionalGeneration.from_pretrained(path, attn_implementation="eager").eval()
generation = model.generation_config


def attention(features, ids, frames):
    r = model(input_features=features, decoder_input_ids=torch.tensor([ids]), output_attentions=True)
    layers = range(model.config.decoder_layers // 2, model.config.decoder_layers)
    heads = getattr(generation, "alignment_heads", None) or [
        (layer, head) for layer in layers for head in range(model.config.decoder_attention_heads)]
    w = torch.stack([r.cross_attentions[layer][0, head] for layer, head in heads])[:, :, : frames // 2]
    std, mean = torch.std_mean(w, dim=-2, keepdim=True, unbiased=False)
    return _median_filter(((w - mean) / std)[None], 7)[0].mean(0)


if source.endswith(".safetensors"):
    ids = [int(x) for x in text.split(",")]
    features = load_file(source)["0.features"][None]
    matrix = attention(features, ids, 120)
    result = {"ids": ids, "positions": 60, "matrix": [round(x, 6) for x in matrix.flatten().tolist()]}
else:
    import soundfile

    processor = transformers.WhisperProcessor.from_pretrained(path)
    samples, rate = soundfile.read(source, dtype="float32")
    features = processor(samples, sampling_rate=rate, return_tensors="pt").input_features
    words = processor.tokenizer(text, add_special_tokens=False)["input_ids"]
    ids = [generation.decoder_start_token_id, generation.no_timestamps_token_id, *words, generation.eos_token_id]
    matrix = attention(features, ids, len(samples) // 160)[1:-1]
    rows, columns = _dynamic_time_warping(-matrix.double().numpy())
    jumps = np.pad(np.diff(rows), (1, 0), constant_values=1).astype(bool)
    result = {"tokens": [processor.tokenizer.decode([i]) for i in words], "times": [round(float(c) * 0.02, 2) for c in columns[jumps]]}
with open(out, "w") as f:
    f.write(json.dumps(result) + "\n")
