"""ONNX Runtime on models that torch exports once (kept in emily's cache). With the argument int8 their products are quantized
as its own tool does it: weights in advance, activations as they come."""
import os
import sys

from lanes import Job, absent, best_span, serve

try:
    import numpy as np
    import onnxruntime
except ImportError as e:
    absent(f"{e.name} is not installed")

INT8 = "int8" in sys.argv
MODEL = "model.onnx"  # beside it lie its weights


def session(job, cls, example, outputs):
    """The model as ONNX; example makes an input for the export, outputs picks the results."""
    path = job.converted(".onnx", lambda path: export(job, cls, example, outputs, path))
    if INT8:
        path = job.converted(".int8.onnx", lambda to, of=path: quantize(of, to))
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = job.threads
    return onnxruntime.InferenceSession(os.path.join(path, MODEL), options, providers=["CPUExecutionProvider"])


def export(job, cls, example, outputs, path):
    try:
        import torch
        import transformers
        import onnxscript  # noqa: F401, the exporter needs it
    except ImportError as e:
        raise RuntimeError(f"{e.name} is not installed, which exports the model")
    os.makedirs(path)

    class Model(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.model = getattr(transformers, cls).from_pretrained(job.model, dtype=torch.float32).eval()

        def forward(self, x):
            return outputs(self.model, x)
    with torch.no_grad():
        torch.onnx.export(Model(), (example(torch),), os.path.join(path, MODEL), input_names=["x"], dynamo=True, external_data=True)


def quantize(path, to):
    from onnxruntime.quantization import QuantType, quantize_dynamic
    os.makedirs(to)
    quantize_dynamic(os.path.join(path, MODEL), os.path.join(to, MODEL), weight_type=QuantType.QInt8, op_types_to_quantize=["MatMul", "Gemm"])


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


how = "all graph optimizations" + (", dynamic int8 in MatMul and Gemm" if INT8 else "")
serve(f"onnxruntime {onnxruntime.__version__}", how, {"2": distilbert, "4": vit})
