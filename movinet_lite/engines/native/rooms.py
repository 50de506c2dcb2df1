"""Where the tensors of a call lie: one arena for each call at a time. Needs numpy only."""

from __future__ import annotations

from typing import Final, Self

import attrs

from movinet_lite.engines.native.plan import Plan

__all__ = ["CONTEXT", "ENTRY", "Rooms"]

ENTRY: Final = "run"
"""The name of the function that a network becomes."""

CONTEXT: Final = (
    "members",  # threads that run the code
    "barrier",  # address of the state of their barrier
    "images",
    "frames",  # address
    "is_uint8",
    "arena",  # address
    "weights",  # address
    "storages",  # addresses of the storages of the images
    "places",  # of the images
    "ages",  # of the images
    "sources",  # addresses of the storages that hold what came before the call
    "begins",  # places from which on frames are in the storages of the images themselves
    "positions",  # address
    "profile",  # address of the cycles of each part, in code that measures them
)
"""What the code of a network reads from its context, in order."""

_ALIGNMENT: Final = 16  # float32 numbers: a vector of AVX-512


@attrs.frozen
class Rooms:
    """Places in the arena, as float32 numbers before each.

    Attributes:
        images: Images of a call, at most.
        frame: A padded frame.
        stem: The result of the stem.
        turns: Two places that the layers read and write in turns.
        between: What the layers that take one image after the other give to the others.
        expanded: The expanded rows.
        filtered: The rows after the depthwise convolutions.
        pooled: The rows of the skip path.
        parts: Sums over parts of a plane.
        squeezed: The means, over all frames and of each.
        reduced: The result of the first product of the squeeze-excitation.
        gates: That of the second.
        logits: The logits.
        pooled_means: The means of the head, and after them those of each frame.
        hidden: The hidden layer.
        size: Numbers of the whole arena.
    """

    images: int
    frame: int
    stem: int
    turns: tuple[int, int]
    between: int
    expanded: int
    filtered: int
    pooled: int
    parts: int
    squeezed: int
    reduced: int
    gates: int
    logits: int
    pooled_means: int
    hidden: int
    size: int

    @classmethod
    def of(cls, plan: Plan, images: int) -> Self:
        """Return the places for calls of so many images at most."""
        lanes = plan.lanes
        end = 0

        def room(numbers: int) -> int:
            nonlocal end
            place = end
            end += -(-numbers // _ALIGNMENT) * _ALIGNMENT
            return place

        def largest(plane_and_pixels: list[tuple[int, int, int]]) -> int:
            return (
                max(
                    planes * pixels * count
                    for planes, pixels, count in plane_and_pixels
                )
                * lanes
            )

        layers = [
            (layer, 1 if plan.is_one_by_one(layer) else images) for layer in plan.layers
        ]
        before = [(one, one.size[0] * one.size[1], count) for one, count in layers]
        after = [
            (one, one.result_size[0] * one.result_size[1], count)
            for one, count in layers
        ]
        last = [one for one, _, count in after if plan.is_one_by_one(one)][-1]
        head = plan.head
        stem_rows, stem_columns = plan.stem.result_size
        head_pixels = head.size[0] * head.size[1]
        frame_rows, frame_columns = (
            2 * (length - 1) + 3 for length in plan.stem.result_size
        )
        widest = max(one.planes[1] for one, _ in layers)
        turn = largest([(one.planes[2], n, count) for one, n, count in after])
        return cls(
            images=images,
            frame=room(frame_rows * frame_columns * 3),
            stem=room(plan.stem.planes * stem_rows * stem_columns * lanes),
            turns=(room(turn), room(turn)),
            between=room(
                last.planes[2]
                * last.result_size[0]
                * last.result_size[1]
                * images
                * lanes
            ),
            expanded=room(
                largest(
                    [(one.planes[1], n, count) for one, n, count in before]
                    + [(head.project.outputs, head_pixels, images)]
                )
            ),
            filtered=room(
                largest([(one.planes[1], n, count) for one, n, count in after])
            ),
            pooled=room(
                largest([(one.planes[0], n, count) for one, n, count in after])
            ),
            parts=room(
                largest([(one.planes[1], one.parts, images) for one, _ in layers])
            ),
            squeezed=room(2 * widest * images * lanes),
            reduced=room(max(one.reduce.outputs for one, _ in layers) * images * lanes),
            gates=room(widest * images * lanes),
            logits=room(head.classifier.outputs * images * lanes),
            pooled_means=room(2 * head.project.outputs * images * lanes),
            hidden=room(head.hidden.outputs * images * lanes),
            size=end,
        )
