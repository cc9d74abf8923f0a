"""What the four training scripts share: writing a folder that any Hugging Face loader opens, and a schedule."""

import copy
import json
import math
import time
from pathlib import Path

import torch

DEMO = Path(__file__).resolve().parent.parent


def save_json(path, value):
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def save_checkpoint(folder, model, generation=None, preprocessor=None):
    """Write config.json, model.safetensors (bf16) and the small JSON files of a transformers model.

    save_pretrained stores tied tensors once, under the names that checkpoints on the Hub have.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    copy.deepcopy(model).to("cpu", torch.bfloat16).save_pretrained(folder)
    if generation is not None:
        save_json(folder / "generation_config.json", generation)
    if preprocessor is not None:
        save_json(folder / "preprocessor_config.json", preprocessor)
    weights = folder / "model.safetensors"
    weights.chmod(0o644)
    print(f"{folder.name}: {model.num_parameters():,} parameters, {weights.stat().st_size:,} bytes", flush=True)


class Schedule:
    """Counts training by the clock: a run takes the minutes it is given, on any machine."""

    def __init__(self, optimizer, minutes, peak, warmup=0.03):
        self.optimizer, self.seconds, self.peak, self.warmup = optimizer, minutes * 60, peak, warmup
        self.begin, self.step = time.monotonic(), 0

    def advance(self):
        """Set the next learning rate (linear warm-up, half a cosine down to 1 % of the peak); False at the end."""
        self.progress = (time.monotonic() - self.begin) / self.seconds
        if self.progress >= 1:
            return False
        cosine = 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * self.progress))
        rate = self.peak * min(cosine, self.progress / self.warmup, (self.step + 1) / 100)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.step += 1
        return True


def optimizer(model, weight_decay=0.1, betas=(0.9, 0.98)):
    """AdamW that decays matrices and leaves biases and norms alone."""
    matrices = [p for p in model.parameters() if p.requires_grad and p.ndim > 1]
    vectors = [p for p in model.parameters() if p.requires_grad and p.ndim <= 1]
    groups = [{"params": matrices, "weight_decay": weight_decay}, {"params": vectors, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=0.0, betas=betas, fused=torch.cuda.is_available())
