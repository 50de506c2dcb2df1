"""``movinet-lite export``: write a model in another format."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from movinet_lite.cli.arguments import (
    add_command,
    add_functions,
    add_json,
    add_labels_file,
    add_offline,
    frame_size,
)
from movinet_lite.cli.output import print_json

__all__ = ["add_commands"]


def add_commands(commands: Any) -> None:
    """Add the command of this module to the command line's."""
    parser = add_command(
        commands,
        "export",
        _export,
        description="Write a model as a LiteRT file, an ONNX file or a SavedModel, and compare its logits with the source.",
        examples=(
            "export a0.tflite --model a0",
            "export a0_small.tflite --model a0 --quantize float16",
            "export a0_base.tflite --model a0 --mode base",
            "export a0.onnx --model a0",
            "export my_model --to saved_model --model downloads/a2",
        ),
    )
    parser.add_argument("path", type=Path, help="the file or folder to write")
    parser.add_argument(
        "--model", default="a0", help="the model (default: %(default)s)"
    )
    parser.add_argument(
        "--to",
        choices=("litert", "onnx", "saved_model"),
        help="the format (default: onnx for a path that ends in .onnx, else litert)",
    )
    parser.add_argument(
        "--mode",
        choices=("stream", "base"),
        default="stream",
        help="the stream model or the base model (default: %(default)s)",
    )
    parser.add_argument(
        "--quantize",
        choices=("float16", "dynamic"),
        help="store float16 or 8-bit weights",
    )
    parser.add_argument(
        "--frame-size",
        type=frame_size,
        metavar="HxW",
        help="frame size of the exported model (default: the model's)",
    )
    add_labels_file(parser)
    add_functions(parser)
    add_offline(parser)
    add_json(parser)


def _export(args: argparse.Namespace) -> int:
    """Write a model in another format."""
    from movinet_lite.engines.exporting import export_model

    if sys.stderr.isatty():
        print(f"exporting {args.model} ...", file=sys.stderr)
    written = export_model(
        args.model,
        args.path,
        to=args.to,
        mode=args.mode,
        quantize=args.quantize,
        frame_size=args.frame_size,
        labels=args.labels,
        offline=args.offline,
        activation=args.activation,
        gate=args.gate,
    )
    if args.json:
        print_json(
            path=str(written.path),
            num_bytes=written.num_bytes,
            difference=written.difference,
        )
        return 0
    print(
        f"{written.path}: {written.num_bytes / 1e6:.1f} MB, logits within "
        f"{written.difference:.1e} of the largest"
    )
    return 0
