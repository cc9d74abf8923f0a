"""Trains demo/classify: a vision transformer that knows digits and twenty drawn things.

Every image is a mask (digits.py, shapes.py) that is bent, scaled and painted anew each time it is seen:
ink and paper of any two distinct colours, shadows, gradients, blur and noise.

    python classify.py --digits digits.npz --minutes 4 --output ../classify
"""

import argparse
from multiprocessing import Pool

import numpy as np
import torch
import torch.nn.functional as F
from transformers import ViTConfig, ViTForImageClassification

import export
import shapes

PIXELS = 48
LABELS = [str(d) for d in range(10)] + list(shapes.NAMES)


def drawing(job):
    return np.asarray(shapes.draw(*job))


def drawings(count, seed):
    """Draw `count` of each thing; return masks and labels."""
    jobs = [(i, seed + n * len(shapes.NAMES) + i) for n in range(count) for i in range(len(shapes.NAMES))]
    with Pool() as pool:
        masks = np.stack(pool.map(drawing, jobs, chunksize=200))
    return masks, np.array([10 + i for i, _ in jobs])


def uniform(n, low, high, device):
    return torch.rand(n, device=device) * (high - low) + low


def bend(mask, strength):
    """Turn, scale, slant, shift and tilt (perspective) masks [n, 1, s, s] onto PIXELS x PIXELS."""
    n, device = len(mask), mask.device
    turn = uniform(n, -0.35, 0.35, device) * strength
    size = 1.25 + (uniform(n, 0.7, 2.0, device) - 1.25) * strength  # above 1 the figure gets smaller
    aspect = 1 + uniform(n, -0.2, 0.2, device) * strength
    slant = uniform(n, -0.35, 0.35, device) * strength
    c, s = torch.cos(turn), torch.sin(turn)
    zero, one = torch.zeros_like(turn), torch.ones_like(turn)
    matrix = torch.stack([torch.stack([c, -s], 1), torch.stack([s, c], 1)], 1)
    matrix = matrix @ torch.stack([torch.stack([aspect, slant], 1), torch.stack([zero, one / aspect], 1)], 1) * size[:, None, None]
    room = (size - 0.9).clamp(0, 1)[:, None] * 0.8
    shift = (torch.rand(n, 2, device=device) * 2 - 1) * room * strength
    tilt = (torch.rand(n, 2, device=device) * 2 - 1) * 0.2 * strength
    axis = (torch.arange(2 * PIXELS, device=device) + 0.5) / PIXELS - 1
    grid = torch.stack(torch.meshgrid(axis, axis, indexing="xy"), -1).reshape(1, -1, 2)
    depth = 1 + (grid * tilt[:, None]).sum(-1, keepdim=True)
    grid = (grid @ matrix.transpose(1, 2) + shift[:, None]) / depth
    big = F.grid_sample(mask, grid.reshape(n, 2 * PIXELS, 2 * PIXELS, 2), align_corners=False)
    return F.avg_pool2d(big, 2)


def thicken(mask, strength):
    """Make strokes thicker or thinner in part of the masks."""
    pick = torch.rand(len(mask), 1, 1, 1, device=mask.device)
    thick = F.max_pool2d(mask, 3, 1, 1)
    thin = torch.maximum(-F.max_pool2d(-mask, 3, 1, 1), mask * 0.35)
    mask = torch.where(pick < 0.25 * strength, thick, mask)
    return torch.where(pick > 1 - 0.12 * strength, thin, mask)


def paint(mask, strength):
    """Turn masks [n, 1, p, p] into RGB images [n, 3, p, p] in 0..1."""
    n, device = len(mask), mask.device
    grey = torch.rand(n, 1, 1, 1, device=device) < 0.5
    ink, paper = torch.rand(2, n, 3, 1, 1, device=device)
    ink, paper = (torch.where(grey, x.mean(1, keepdim=True).expand_as(x), x) for x in (ink, paper))
    distance = (ink.mean(1, keepdim=True) - paper.mean(1, keepdim=True))
    low = distance.abs() < 0.3
    light = torch.rand(n, 1, 1, 1, device=device) < 0.5
    plain = torch.rand(n, 1, 1, 1, device=device) < 0.4  # black on white, or white on black
    plain |= low
    ink = torch.where(plain, light.float() * 0.95 + 0.02, ink)
    paper = torch.where(plain, 0.97 - light.float() * 0.95, paper)
    soft = F.avg_pool2d(mask, 3, 1, 1)
    mask = torch.where(torch.rand(n, 1, 1, 1, device=device) < 0.3, soft, mask)
    image = paper + (ink - paper) * mask
    if strength == 0:
        return image
    shadow = F.interpolate(torch.rand(n, 1, 4, 4, device=device), size=mask.shape[-1], mode="bicubic", align_corners=False)
    image = image * (1 - 0.5 * shadow.clamp(0, 1) * (torch.rand(n, 1, 1, 1, device=device) < 0.5))
    slope = torch.linspace(-1, 1, mask.shape[-1], device=device)
    tone = slope[None, :] * (torch.rand(n, 1, 1, 1, device=device) - 0.5) + slope[:, None] * (torch.rand(n, 1, 1, 1, device=device) - 0.5)
    image = image + tone * 0.4 * (torch.rand(n, 1, 1, 1, device=device) < 0.5)
    noise = torch.rand(n, 1, 1, 1, device=device) ** 3 * 0.16
    return (image + torch.randn_like(image) * noise).clamp(0, 1)


def view(masks, strength=1.0):
    """8-bit masks -> pixel values as the image processor gives them: (x - 0.5) / 0.5."""
    mask = bend(masks[:, None].float() / 255, strength)
    return (paint(thicken(mask, strength), strength).mul(255).round() / 255 - 0.5) / 0.5


@torch.no_grad()
def accuracy(model, masks, labels, strength):
    torch.manual_seed(1)
    model.eval()
    right = [(model(pixel_values=view(m, strength)).logits.argmax(-1) == y).float() for m, y in zip(masks.split(500), labels.split(500))]
    model.train()
    return torch.cat(right).mean().item()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--digits", required=True)
    parser.add_argument("--drawings", type=int, default=2000)
    parser.add_argument("--minutes", type=float, default=4)
    parser.add_argument("--batch", type=int, default=1024)
    parser.add_argument("--output", default=export.DEMO / "classify")
    args = parser.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.manual_seed(0)

    data, train, tests = np.load(args.digits), [], {}
    for name in ("mnist", "optdigits", "fonts"):
        images, labels, test = (torch.from_numpy(data[f"{name}_{part}"]) for part in ("images", "labels", "test"))
        train.append((images[~test].to(device), labels[~test].long().to(device)))
        tests[name] = images[test].to(device), labels[test].long().to(device)
    for count, seed in ((args.drawings, 0), (args.drawings // 20 + 1, 10**9)):
        masks, labels = drawings(count, seed)
        pair = torch.from_numpy(masks).to(device), torch.from_numpy(labels).long().to(device)
        if seed:
            tests["drawings"] = pair
        else:
            train.append(pair)
    shares = [0.34, 0.06, 0.16, 0.44]  # handwriting, small handwriting, fonts, drawings

    config = ViTConfig(hidden_size=128, num_hidden_layers=4, num_attention_heads=4, intermediate_size=512, image_size=PIXELS, patch_size=6,
                       hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0,
                       id2label=dict(enumerate(LABELS)), label2id={name: i for i, name in enumerate(LABELS)})
    model = ViTForImageClassification(config).to(device)
    schedule = export.Schedule(export.optimizer(model, 0.05), args.minutes, 1.5e-3)
    while schedule.advance():
        parts = [(masks[i], labels[i]) for share, (masks, labels) in zip(shares, train)
                 for i in [torch.randint(len(masks), (round(args.batch * share),), device=device)]]
        masks, labels = (torch.cat(x) for x in zip(*parts))
        with torch.autocast(device, torch.bfloat16, enabled=device == "cuda"):
            logits = model(pixel_values=view(masks)).logits
        loss = F.cross_entropy(logits.float(), labels, label_smoothing=0.05)
        schedule.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        schedule.optimizer.step()
        if schedule.step % 500 == 1:
            print(f"{schedule.progress:.2f} step {schedule.step} loss {loss.item():.3f}", flush=True)

    export.save_checkpoint(args.output, model, preprocessor={
        "do_normalize": True, "do_rescale": True, "do_resize": True, "image_mean": [0.5] * 3, "image_std": [0.5] * 3,
        "image_processor_type": "ViTImageProcessor", "resample": 2, "rescale_factor": 1 / 255, "size": {"height": PIXELS, "width": PIXELS}})
    model.load_state_dict({k: v.bfloat16().float() for k, v in model.state_dict().items()})
    print(f"steps {schedule.step}")
    for name, (masks, labels) in tests.items():
        print(f"{name}: {len(masks)} held out, accuracy plain {accuracy(model, masks, labels, 0):.4f}, disturbed {accuracy(model, masks, labels, 1):.4f}", flush=True)


if __name__ == "__main__":
    main()
