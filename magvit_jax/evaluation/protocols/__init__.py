"""Protocols as data: which clips, how many, at which size; and the real clips of a protocol."""

from magvit_jax.evaluation.protocols.page import protocol_page
from magvit_jax.evaluation.protocols.protocol import Protocol, RealSet
from magvit_jax.evaluation.protocols.table import GIVEN_CLIPS, MODEL_CLIPS, PROTOCOLS, protocol

__all__ = ["GIVEN_CLIPS", "MODEL_CLIPS", "PROTOCOLS", "Protocol", "RealSet", "protocol", "protocol_page"]
