"""Runs ONNX files of ours with ONNX Runtime, on a CPU or an accelerator."""
