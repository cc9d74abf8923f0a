"""ONNX Runtime on models that torch exports once (kept in emily's cache)."""
import os

from lanes import Absent, Job, absent, best_span, serve

try:
    import numpy as np
    import onnxruntime
except ImportError as e:
    absent(f"{e.name} is not installed")


def session(job, cls, example, outputs):
    """The model as ONNX; example makes an input for the export, outputs picks the results."""
    if job.dtype != "f32":
        raise Absent("f32 only")
    path = os.path.join(job.cache, os.path.basename(job.model) + ".onnx")
    if not os.path.exists(path) or os.path.getmtime(path) < os.path.getmtime(job.file("model.safetensors")):
        export(job, cls, example, outputs, path)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = job.threads
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def export(job, cls, example, outputs, path):
    try:
        import torch
        import transformers
        import onnxscript  # noqa: F401, the exporter needs it
    except ImportError as e:
        raise Absent(f"{e.name} is not installed, which exports the model")
    os.makedirs(job.cache, exist_ok=True)

    class Model(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.model = getattr(transformers, cls).from_pretrained(job.model, dtype=torch.float32).eval()

        def forward(self, x):
            return outputs(self.model, x)
    with torch.no_grad():
        torch.onnx.export(Model(), (example(torch),), path, input_names=["x"], dynamo=True, external_data=True)


def distilbert(job: Job):
    encode = job.pair_ids()
    ids = encode()[0]  # the exported shape is static
    run = session(job, "DistilBertForQuestionAnswering", lambda torch: torch.tensor([ids]),
                  lambda m, x: (lambda o: (o.start_logits, o.end_logits))(m(input_ids=x))).run

    def call():
        ids, allowed = encode()
        start, end = run(None, {"x": np.array([ids], np.int64)})
        return best_span(start[0], end[0], allowed)
    return call


def vit(job: Job):
    pixels = job.pixels()
    run = session(job, "ViTForImageClassification", lambda torch: torch.zeros(1, 3, 224, 224), lambda m, x: m(pixel_values=x).logits).run
    return lambda: {"label": int(run(None, {"x": pixels()[None]})[0].argmax())}


serve(f"onnxruntime {onnxruntime.__version__}", "all graph optimizations", {"2": distilbert, "4": vit})
