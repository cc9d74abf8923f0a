"""Trains demo/transcribe: a small Whisper for spoken numbers, dates, letters and everyday phrases.

Windows are put together on the GPU from the utterances of voices.py: several speakers in a row, other speeds,
rooms, filters and noise, then silence up to 30 s, as the real feature extractor pads.
Most steps use windows of 6 or 10 s, the first positions of the table; the last ones the whole 30 s.
The checkpoint has a running average of the weights.

    python transcribe.py --speech speech.npz --minutes 20 --output ../transcribe
"""

import argparse
import copy
import random
import shutil
import time
from collections import Counter

import numpy as np
import torch
import torch.nn.functional as F
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import WhisperConfig, WhisperForConditionalGeneration
from transformers.audio_utils import mel_filter_bank

import export
import phrases

RATE, HOP, STEP = 16_000, 160, 320  # samples per second, per frame of features, per position of the encoder
SPECIAL = ["<|endoftext|>", "<|startoftranscript|>", "<|en|>", "<|translate|>", "<|transcribe|>", "<|startoflm|>", "<|startofprev|>", "<|nospeech|>", "<|notimestamps|>"]
BASE = 1024
EOT, SOT, PREV, NOSPEECH, PLAIN = (BASE + SPECIAL.index(f"<|{name}|>") for name in ("endoftext", "startoftranscript", "startofprev", "nospeech", "notimestamps"))
TIME = BASE + len(SPECIAL)  # <|0.00|>; 1,501 of them, 20 ms apart
CHARACTERS = " 'abcdefghijklmnopqrstuvwxyz"
PHASES = ((0.45, 6, 1.5), (0.72, 10, 1), (1, 30, 0.5))  # until which progress, seconds of a window, windows as a multiple of --batch


def train_tokenizer():
    """Byte-level BPE with Whisper's special tokens; timestamps have ids but no entries, as in whisper-tiny.en."""
    r = random.Random(0)
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=BASE, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False)
    tokenizer.train_from_iterator((" " + phrases.phrase(r) for _ in range(50_000)), trainer)
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in SPECIAL])
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<|startoftranscript|> <|notimestamps|> $A <|endoftext|>", pair="<|startoftranscript|> <|notimestamps|> $A $B <|endoftext|>",
        special_tokens=[("<|startoftranscript|>", SOT), ("<|notimestamps|>", PLAIN), ("<|endoftext|>", EOT)])
    return tokenizer


class Speech:
    """The utterances of one side; the samples lie in the memory of the device."""

    def __init__(self, data, side, tokenizer, device):
        self.texts = [str(t) for t in data[f"{side}_texts"]]
        self.voices = [str(v) for v in data[f"{side}_voices"]]
        self.kinds = [str(k) for k in data[f"{side}_kinds"]]
        self.tokens = [e.ids for e in tokenizer.encode_batch([" " + t for t in self.texts], add_special_tokens=False)]
        self.lengths = data[f"{side}_lengths"].astype(np.int64)
        self.starts = np.concatenate([[0], np.cumsum(self.lengths)[:-1]])
        self.samples = torch.from_numpy(data[f"{side}_samples"]).to(device)


class Plans(torch.utils.data.IterableDataset):
    """Decides what is said when in every window of a batch; made in other processes, ahead of the device."""

    def __init__(self, speech, seconds, size):
        self.texts, self.tokens, self.lengths, self.starts = speech.texts, speech.tokens, speech.lengths.tolist(), speech.starts.tolist()
        self.letters = [[CHARACTERS.index(c) + 1 for c in t] for t in self.texts]
        self.seconds, self.size = seconds, size

    def window(self, r):
        """Utterances with their speeds and places, and the end of the recording, in samples."""
        room = int(self.seconds * RATE)
        wanted = 1 if r.random() < 0.6 else r.randint(2, 3 if self.seconds < 20 else 10)
        at, placed, tokens = int(r.uniform(0, 0.6) ** 2 * 2.5 * RATE), [], 0
        while len(placed) < wanted:
            i, speed = r.randrange(len(self.texts)), r.uniform(0.82, 1.22)
            length = int(self.lengths[i] / speed)
            tokens += len(self.tokens[i]) + 2
            if at + length >= room or tokens > 180:
                break
            placed.append((i, at, length, speed))
            at += length + int(r.uniform(0.15, 1.2) * RATE)
        if not placed:
            return self.window(r)
        _, start, length, _ = placed[-1]
        return placed, min(room, start + length + int(r.random() ** 3 * 5 * RATE))

    def labels(self, r, placed):
        """Tokens after <|startoftranscript|>, with timestamps in four of ten windows."""
        if r.random() < 0.6:
            return [PLAIN] + [t for i, *_ in placed for t in self.tokens[i]] + [EOT]
        return [t for i, at, length, _ in placed
                for t in [TIME + round(at / STEP), *self.tokens[i], TIME + min(1500, round((at + length) / STEP))]] + [EOT]

    def __iter__(self):
        worker = torch.utils.data.get_worker_info()
        r = random.Random(f"{self.seconds} {worker.id if worker else 0}")
        while True:
            plans = [self.window(r) for _ in range(self.size)]
            rows = torch.tensor([(w, self.starts[i], self.lengths[i], at, length, speed, 10 ** r.uniform(-1.3, -0.3))
                                 for w, (placed, _) in enumerate(plans) for i, at, length, speed in placed], dtype=torch.float64)
            ids = pad([[SOT] + self.labels(r, placed) for placed, _ in plans], -100)
            letters = [[c for i, *_ in placed for c in (1, *self.letters[i])][1:] for placed, _ in plans]
            yield rows, torch.tensor([end for _, end in plans]), ids, pad(letters, 0), torch.tensor([len(x) for x in letters])


def pad(rows, value):
    width = max(map(len, rows))
    return torch.tensor([row + [value] * (width - len(row)) for row in rows])


def mix(samples, rows, size, room):
    """Carry out a batch of plans: waveforms [size, room]."""
    longest = int(rows[:, 4].max())  # while the rows are on the host: the device need not be waited for
    rows = rows.to(samples.device, non_blocking=True)
    w, source, available, at, length = (column[:, None].long() for column in rows[:, :5].unbind(1))
    speed, level = (column[:, None].float() for column in rows[:, 5:].unbind(1))
    t = torch.arange(longest, device=samples.device)[None]
    position = t * speed
    left = torch.minimum(position.long(), available - 2)
    value = torch.lerp(samples[source + left].float(), samples[source + left + 1].float(), (position - left).clamp(0, 1))
    value = value * (t < length) / 32768
    loudness = (value.square().sum(1, keepdim=True) / length).sqrt() + 1e-4
    audio = torch.zeros(size * room, device=samples.device)
    # Beyond the end of an utterance the value is nought, so adding it to any place does no harm.
    audio.index_add_(0, (w * room + (at + t).clamp_max(room - 1)).flatten(), (value * (level * 0.2 / loudness)).flatten())
    return audio.view(size, room)


def disturb(audio, ends, strength=1.0):
    """Rooms, filters and noise, all in the frequency domain; digital silence after the end of each recording.

    strength scales how often each of them happens; it may be of shape [n, 1].
    """
    n, size, device = *audio.shape, audio.device
    rand = lambda low, high: torch.rand(n, 1, device=device) * (high - low) + low
    sometimes = lambda p: (torch.rand(n, 1, device=device) < p * strength).float()
    spectrum = torch.fft.rfft(audio)
    bins = spectrum.shape[1]
    hertz = torch.linspace(0, RATE / 2, bins, device=device)[None]
    # An echo that dies away: noise under an exponential, after the direct sound.
    t = torch.arange(RATE // 2, device=device)[None] / RATE
    echo = torch.randn(n, RATE // 2, device=device) * torch.exp(-6.9 * t / rand(0.08, 0.7)) * rand(0.01, 0.12) * sometimes(0.5)
    echo[:, 0] = 1
    spectrum = spectrum * torch.fft.rfft(echo, n=size)
    # A smooth filter: some decibels up and down, and at times the band of a telephone.
    knots = F.interpolate(torch.randn(n, 1, 9, device=device) * 5 * sometimes(0.6)[..., None], size=bins // 8, mode="linear", align_corners=True)
    gain = F.interpolate(knots, size=bins, mode="nearest")[:, 0]
    narrow = sometimes(0.25)
    low, high = rand(50, 300), rand(3000, 7000)
    band = torch.sigmoid((hertz - low) / 30) * torch.sigmoid((high - hertz) / 200)
    spectrum = spectrum * 10 ** (gain / 20) * (1 - narrow + narrow * band)
    audio = torch.fft.irfft(spectrum, n=size)
    inside = torch.arange(size, device=device)[None] < ends[:, None]
    power = (audio.square() * inside).sum(1, keepdim=True) / ends[:, None]
    # Noise between white and brown, at 0 to 40 dB below the speech, and hum.
    colour = (hertz + 20) ** -rand(0, 1)
    noise = torch.fft.irfft(torch.fft.rfft(torch.randn(n, size, device=device)) * colour, n=size)
    noise = noise / noise.square().mean(1, keepdim=True).sqrt()
    audio = audio + noise * power.sqrt() * 10 ** (-rand(3, 45) / 20) * sometimes(0.8)
    return audio.clamp(-1, 1) * inside


class Features:
    """Whisper's log-mel features, as transformers' WhisperFeatureExtractor computes them."""

    def __init__(self, device):
        self.window = torch.hann_window(400, device=device)
        self.filters = torch.tensor(mel_filter_bank(201, 80, 0.0, 8000.0, RATE, norm="slaney", mel_scale="slaney"), dtype=torch.float32, device=device)

    def __call__(self, audio, stretch=None):
        """Features of waveforms; stretch [n] scales the frequencies of each, as a longer or shorter vocal tract does."""
        power = torch.stft(audio, 400, HOP, window=self.window, return_complex=True)[..., :-1].abs().square()
        if stretch is not None:
            bins = torch.arange(power.shape[1], device=power.device) * stretch[:, None]
            low = bins.long().clamp_max(power.shape[1] - 2)
            part = (bins - low).clamp_max(1)[..., None]
            pick = lambda i: power.gather(1, i[..., None].expand(-1, -1, power.shape[2]))
            power = torch.lerp(pick(low), pick(low + 1), part)
        mel = (self.filters.T @ power).clamp_min(1e-10).log10()
        mel = torch.maximum(mel, mel.amax((1, 2), keepdim=True) - 8)
        return (mel + 4) / 4


def hide(mel):
    """SpecAugment (Park et al. 2019): blank a band of frequencies and short stretches of time."""
    n, bands, frames = mel.shape
    f, t = torch.arange(bands, device=mel.device), torch.arange(frames, device=mel.device)
    keep = torch.ones(n, bands, frames, device=mel.device, dtype=torch.bool)
    begin, width = torch.rand(2, n, 1, device=mel.device)
    keep &= ((f < begin * bands) | (f > begin * bands + width * 12))[:, :, None]
    for _ in range(3):
        begin, width = torch.rand(2, n, 1, device=mel.device)
        keep &= ((t < begin * frames) | (t > begin * frames + width * 12))[:, None]
    return torch.where(keep, mel, mel.mean((1, 2), keepdim=True))


def set_window(model, table, seconds):
    """Let the encoder take windows of `seconds`: the first positions of its table."""
    positions = int(seconds * RATE) // STEP
    model.config.max_source_positions = positions
    model.model.encoder.embed_positions = torch.nn.Embedding.from_pretrained(table[:positions].clone(), freeze=True)


class Average:
    """A running average of a model's weights (Polyak and Juditsky 1992), over some thousand steps at the end."""

    def __init__(self, model, decay=0.999):
        self.model, self.decay, self.steps = copy.deepcopy(model), decay, 0
        self.mine, self.theirs = ([p for n, p in m.named_parameters() if "encoder.embed_positions" not in n] for m in (self.model, model))

    @torch.no_grad()
    def update(self):
        self.steps += 1
        torch._foreach_lerp_(self.mine, self.theirs, 1 - min(self.decay, self.steps / (self.steps + 10)))


def word_errors(said, heard):
    """Edit distance between two lists of words."""
    row = list(range(len(heard) + 1))
    for i, a in enumerate(said, 1):
        last, row[0] = row[0], i
        for j, b in enumerate(heard, 1):
            last, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, last + (a != b))
    return row[-1]


@torch.no_grad()
def transcribe(model, mel, most=60):
    """Greedy decoding without timestamps."""
    encoded = model.model.encoder(mel).last_hidden_state
    ids = torch.full((len(mel), 1), SOT, device=mel.device)
    ids = torch.cat([ids, torch.full_like(ids, PLAIN)], 1)
    for _ in range(most):
        logits = model(encoder_outputs=(encoded,), decoder_input_ids=ids, use_cache=False).logits[:, -1]
        logits[:, TIME:] = -1e4
        ids = torch.cat([ids, logits.argmax(-1, keepdim=True)], 1)
        if (ids == EOT).any(1).all():
            break
    return ids[:, 2:]


def word_error_rate(model, speech, features, tokenizer, noisy, count=1000, show=0):
    """Word error rate of single utterances in windows of the model's length: of all, of each engine and of each kind."""
    model.eval()
    torch.manual_seed(5)
    wrong, total = Counter(), Counter()
    device, room = speech.samples.device, int(model.config.max_source_positions * STEP)
    order = np.random.default_rng(0).permutation(len(speech.texts))[:count]
    order = order[speech.lengths[order] < room]
    for part in np.array_split(order, max(1, len(order) // 100)):
        audio = torch.zeros(len(part), room, device=device)
        for row, i in zip(audio, part):
            row[:speech.lengths[i]] = speech.samples[speech.starts[i]:speech.starts[i] + speech.lengths[i]].float() / 32768
        if noisy:
            audio = disturb(audio, torch.tensor(speech.lengths[part], device=device))
        for i, ids in zip(part, transcribe(model, features(audio)).tolist()):
            heard = tokenizer.decode(ids[:ids.index(EOT)] if EOT in ids else ids).split()
            said = speech.texts[i].split()
            for group in ("all", speech.voices[i].split()[0], speech.kinds[i]):
                wrong[group] += word_errors(said, heard)
                total[group] += len(said)
            if show > 0 and heard != said:
                show -= 1
                print(f"    said {' '.join(said)!r} heard {' '.join(heard)!r}")
    model.train()
    return {group: round(wrong[group] / total[group], 4) for group in sorted(total)}


def configuration(tokenizer):
    return WhisperConfig(vocab_size=TIME + 1501, num_mel_bins=80, d_model=160, encoder_layers=5, encoder_attention_heads=5, encoder_ffn_dim=640,
                         decoder_layers=2, decoder_attention_heads=5, decoder_ffn_dim=640, max_source_positions=1500, max_target_positions=448,
                         dropout=0.0, pad_token_id=EOT, bos_token_id=SOT, eos_token_id=EOT, decoder_start_token_id=SOT, is_encoder_decoder=True,
                         begin_suppress_tokens=[tokenizer.token_to_id("Ġ"), EOT], suppress_tokens=None)


def save(folder, model, tokenizer):
    """Write a folder as openai/whisper-tiny.en has it."""
    folder = export.Path(folder)
    export.save_checkpoint(folder, model, generation={
        "begin_suppress_tokens": [tokenizer.token_to_id("Ġ"), EOT], "bos_token_id": SOT, "decoder_start_token_id": SOT, "eos_token_id": EOT,
        "is_multilingual": False, "max_initial_timestamp_index": 50, "max_length": 448, "no_timestamps_token_id": PLAIN, "pad_token_id": EOT,
        "prev_sot_token_id": PREV, "return_timestamps": False,
    }, preprocessor={
        "chunk_length": 30, "feature_extractor_type": "WhisperFeatureExtractor", "feature_size": 80, "hop_length": HOP, "n_fft": 400, "n_samples": 480000,
        "nb_max_frames": 3000, "padding_side": "right", "padding_value": 0.0, "processor_class": "WhisperProcessor", "return_attention_mask": False, "sampling_rate": RATE})
    tokenizer.save(str(folder / "tokenizer.json"))
    export.save_json(folder / "tokenizer_config.json", {
        "add_prefix_space": False, "bos_token": "<|startoftranscript|>", "clean_up_tokenization_spaces": False, "eos_token": "<|endoftext|>", "errors": "replace", "model_max_length": 448,
        "pad_token": "<|endoftext|>", "processor_class": "WhisperProcessor", "return_attention_mask": False, "tokenizer_class": "WhisperTokenizer", "unk_token": "<|endoftext|>"})


def save_partial(folder, average, table, seconds, tokenizer):
    """Save the weights of a run that goes on, whole at any moment."""
    folder, new = export.Path(folder), export.Path(f"{folder}.new")
    set_window(average.model, table, 30)
    save(new, average.model, tokenizer)
    set_window(average.model, table, seconds)
    shutil.rmtree(folder, ignore_errors=True)
    new.rename(folder)


def batches(speech, seconds, size, workers, device):
    """Plans of windows in the device's memory; where the samples lie and the numbers of letters stay on the host, which needs them."""
    loader = torch.utils.data.DataLoader(Plans(speech, seconds, size), batch_size=None, num_workers=workers, pin_memory=device == "cuda", prefetch_factor=8 if workers else None)
    for rows, *plan, counts in loader:
        yield rows, *(x.to(device, non_blocking=True) for x in plan), counts


@torch.no_grad()
def listen(speech, features, rows, ends, size, seconds):
    """Features of a batch of windows: a quarter of them as spoken, the rest disturbed."""
    device = ends.device
    audio = disturb(mix(speech.samples, rows, size, seconds * RATE), ends, (torch.rand(size, 1, device=device) < 0.75).float())
    # Vocal tract length perturbation (Jaitly and Hinton 2013): the voices are few, their throats need not be.
    stretch = torch.exp(torch.randn(size, device=device) * 0.09).clamp(0.8, 1.25)
    mel = features(audio, stretch)
    return torch.where(torch.rand(size, 1, 1, device=device) < 0.7, hide(mel), mel)


def losses(model, ctc, mel, ids, characters, counts):
    """Of the words that the decoder writes, and of the letters that the encoder hears."""
    with torch.autocast(mel.device.type, torch.bfloat16, enabled=mel.is_cuda):
        encoded = model.model.encoder(mel).last_hidden_state
        logits = model(encoder_outputs=(encoded,), decoder_input_ids=ids[:, :-1].clamp_min(0), use_cache=False).logits
        letters = ctc(encoded)
    words = F.cross_entropy(logits.float().flatten(0, 1), ids[:, 1:].flatten(), ignore_index=-100, label_smoothing=0.05)
    scores = letters.float().log_softmax(-1).transpose(0, 1)
    return words, F.ctc_loss(scores, characters, torch.full_like(counts, len(scores)), counts, zero_infinity=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--speech", required=True)
    parser.add_argument("--minutes", type=float, default=20)
    parser.add_argument("--until", type=float, help="train until this time (seconds since 1970) rather than for minutes")
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--workers", type=int, default=6)
    parser.add_argument("--partial", help="save the weights into this folder every three minutes")
    parser.add_argument("--output", default=export.DEMO / "transcribe")
    args = parser.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.manual_seed(0)

    tokenizer, data, features = train_tokenizer(), np.load(args.speech), Features(device)
    train, test = (Speech(data, side, tokenizer, device) for side in ("train", "test"))
    model = WhisperForConditionalGeneration(configuration(tokenizer)).to(device)
    table = model.model.encoder.embed_positions.weight.detach().clone()
    average = Average(model)
    # CTC (Graves et al. 2006) on the encoder's output teaches it letters early; the head is not part of the model.
    ctc = torch.nn.Linear(model.config.d_model, len(CHARACTERS) + 1, device=device)
    parameters = [p for m in (model, ctc) for p in m.parameters() if p.requires_grad]
    minutes = args.minutes if args.until is None else (args.until - time.time()) / 60
    schedule = export.Schedule(export.optimizer(torch.nn.ModuleList([model, ctc]), 0.05), minutes, 2e-3)
    print(f"{len(train.texts)} utterances, {sum(p.numel() for p in model.parameters()):,} parameters, {minutes:.1f} minutes on {device}", flush=True)
    seconds, reported, saved = 0, 0, time.monotonic()
    while schedule.advance():
        wanted, share = next((seconds, share) for end, seconds, share in PHASES if schedule.progress < end)
        if seconds != wanted:
            seconds, size = wanted, max(1, int(args.batch * share))
            for m in (model, average.model):
                set_window(m, table, seconds)
            plans = batches(train, seconds, size, args.workers, device)
        rows, ends, ids, characters, counts = next(plans)
        words, letters = losses(model, ctc, listen(train, features, rows, ends, size, seconds), ids, characters, counts)
        schedule.optimizer.zero_grad(set_to_none=True)
        (words + 0.4 * letters).backward()
        for p in parameters:
            p.grad.nan_to_num_(0, 0, 0)  # one bad batch must not end the run
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        schedule.optimizer.step()
        average.update()
        if schedule.progress > reported + 0.05:
            reported = schedule.progress
            print(f"{reported:.2f} step {schedule.step} loss {words.item():.3f} ctc {letters.item():.3f} wer {word_error_rate(average.model, test, features, tokenizer, False, 200)}", flush=True)
        if args.partial and time.monotonic() > saved + 180:
            saved = time.monotonic()
            save_partial(args.partial, average, table, seconds, tokenizer)

    model = average.model
    set_window(model, table, 30)
    save(args.output, model, tokenizer)
    model.load_state_dict({k: v.bfloat16().float() for k, v in model.state_dict().items()})
    print(f"steps {schedule.step}")
    for noisy in (False, True):
        print(f"word error rate, voices never trained on, {'disturbed' if noisy else 'plain'}: {word_error_rate(model, test, features, tokenizer, noisy, show=8)}", flush=True)


if __name__ == "__main__":
    main()
