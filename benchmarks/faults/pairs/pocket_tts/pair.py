"""The subject in both sizes."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from benchmarks.faults.pairs.pocket_tts.faults import CONFLICTS, FAULTS
from benchmarks.faults.pairs.pocket_tts.planting import Change, planted
from benchmarks.faults.pairs.pocket_tts.variants import (
    attention,
    codec,
    flow_net,
    held_out,
    loop,
    prompt,
    rope,
    text,
    transformer,
)
from benchmarks.faults.planted import Pair
from fixtures.pocket_tts.cases import cases
from fixtures.pocket_tts.locations import Size
from fixtures.pocket_tts.port import torch_port
from fixtures.pocket_tts.reference import Program as Reference
from parity.tensors import Case
from parity_torch.pocket_tts import Program

__all__ = ["PAIR", "Port", "pair"]

CASE = "alba-short"

# What a port that dumps block outputs only would dump.
BLOCKS = (
    "mimi.encoder",
    "mimi.encoder.model.?",
    "mimi.encoder.model.??",
    "mimi.*_transformer",
    "mimi.*_transformer.transformer.layers.?",
    "mimi.downsample",
    "mimi.encode_to_latent",
    "flow_lm",
    "flow_lm.conditioner",
    "flow_lm.transformer.layers.?",
    "flow_lm.out_norm",
    "flow_lm.flow_net",
    "flow_lm.flow_net.time_embed.?",
    "flow_lm.flow_net.res_blocks.?",
    "flow_lm.flow_net.final_layer",
    "mimi.quantizer",
    "mimi.upsample",
    "mimi.decoder",
    "mimi.decoder.model.?",
    "mimi.decoder.model.??",
    "mimi.decode_from_latent",
    "latents",
    "waveform",
)

# How a clean port may read prompts and decode, and still compute the same.
VARIANTS: Mapping[str, Mapping[str, str]] = {
    "": {},
    "decode_batch": {"decode": "batch"},
    "prompt_token": {"prompt": "token"},
    "decode_batch_prompt_token": {"decode": "batch", "prompt": "token"},
}

SWITCHES: Mapping[str, tuple[Change, ...]] = {
    **text.SWITCHES,
    **prompt.SWITCHES,
    **rope.SWITCHES,
    **attention.SWITCHES,
    **transformer.SWITCHES,
    **flow_net.SWITCHES,
    **loop.SWITCHES,
    **codec.SWITCHES,
    **held_out.SWITCHES,
}


class Port:
    """The port with some of its functions written otherwise.

    Attributes:
        name, modules, functions, phases, steps, facts: those of the clean port.
    """

    def __init__(self, program: Program, changes: tuple[Change, ...]) -> None:
        self._program = program
        self._changes = changes
        self.name = program.name
        self.modules = program.modules
        self.functions = program.functions
        self.phases = program.phases
        self.steps = program.steps
        self.facts = program.facts

    def run(self, case: Case) -> Mapping[str, torch.Tensor]:
        """Speak `case`; its outputs are those of the clean port."""
        with planted(self._changes):
            return self._program.run(case)


def pair(size: Size) -> Pair:
    """The subject with 0.2 million parameters, `tiny`, or with 117.9 million, `full`."""

    def port(faults: frozenset[str], precision: str = "float32", variant: str = "") -> Port:
        # In the order of SWITCHES: the same set of switches is always the same port.
        changes = [change for name in SWITCHES if name in faults for change in SWITCHES[name]]
        program = torch_port(size, dtype=precision, **VARIANTS[variant])
        return Port(program, (loop.GO_ON, *changes))

    return Pair(
        name="pocket_tts" if size == "tiny" else f"pocket_tts-{size}",
        reference=lambda: Reference(size),
        port=port,
        cases=cases(size, [CASE]),
        output="waveform",
        blocks=BLOCKS,
        faults=FAULTS,
        variants=tuple(name for name in VARIANTS if name),
        conflicts=CONFLICTS,
    )


PAIR = pair("tiny")
