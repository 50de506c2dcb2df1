"""Runs exported ONNX files with ONNX Runtime, on CPU or an accelerator."""
