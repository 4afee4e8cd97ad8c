"""VideoPoet's transformer as a Hugging Face Llama of the same parameters: a peer to check against and to time.

Both have RMS norms, rotary positions in two halves, grouped queries, a gated MLP with SiLU, no biases, and a head tied
to the embedding. A Llama is causal, so a prefix LM equals it where its prefix is one column long.
"""

import flax.traverse_util
import numpy as np
import torch
import transformers

from magvit_jax.nn.decoder import EPSILON
from magvit_jax.nn.rotary import BASE
from magvit_jax.transformer.multimodal import MultimodalTransformer
from magvit_jax.typing import PyTree


def llama(module: MultimodalTransformer, positions: int) -> transformers.LlamaForCausalLM:
    """A Llama of the module's sizes for sequences of so many positions, its parameters random."""
    config = transformers.LlamaConfig(
        vocab_size=module.vocabulary_size,
        hidden_size=module.width,
        intermediate_size=module.mlp_dim,
        num_hidden_layers=module.layers,
        num_attention_heads=module.heads,
        num_key_value_heads=module.kv_heads,
        head_dim=module.head_width,
        max_position_embeddings=positions,
        rms_norm_eps=EPSILON,
        rope_theta=BASE,
        tie_word_embeddings=True,
        attention_bias=False,
        mlp_bias=False,
        bos_token_id=None,
        eos_token_id=None,
        pad_token_id=0,
    )
    return transformers.LlamaForCausalLM(config).eval()


def load(peer: transformers.LlamaForCausalLM, module: MultimodalTransformer, params: PyTree) -> None:
    """Copies our parameters, of layers that are not scanned. The head's bias, which a Llama lacks, must be 0."""
    flat = {name: np.asarray(value) for name, value in flax.traverse_util.flatten_dict(params, sep="/").items()}
    if flat.pop("embedding/bias").any():
        raise ValueError("expected a head without bias, as a Llama has")
    state = {"model.embed_tokens.weight": flat.pop("embedding/code_embedding")[0]}
    state["lm_head.weight"] = state["model.embed_tokens.weight"]
    state["model.norm.weight"] = flat.pop("final_norm/scale")
    for index in range(module.layers):
        state |= _layer(index, {name: flat.pop(f"stack_{index}/{name}") for name in _NAMES})
    if flat:
        raise ValueError(f"parameters that a Llama does not have: {', '.join(flat)}")
    tensors = {name: torch.from_numpy(np.array(value, np.float32)) for name, value in state.items()}
    peer.load_state_dict(tensors, strict=True)


_NAMES = ("attention_norm/scale", "mlp_norm/scale", "q_kernel", "kv_kernel", "out_kernel", "in_kernel")
_NAMES += ("mlp_out_kernel",)


def _layer(index: int, ours: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    begin, width = f"model.layers.{index}", ours["q_kernel"].shape[0]
    return {
        f"{begin}.input_layernorm.weight": ours["attention_norm/scale"],
        f"{begin}.post_attention_layernorm.weight": ours["mlp_norm/scale"],
        f"{begin}.self_attn.q_proj.weight": ours["q_kernel"].reshape(width, -1).T,
        f"{begin}.self_attn.k_proj.weight": ours["kv_kernel"][:, 0].reshape(width, -1).T,
        f"{begin}.self_attn.v_proj.weight": ours["kv_kernel"][:, 1].reshape(width, -1).T,
        f"{begin}.self_attn.o_proj.weight": ours["out_kernel"].reshape(-1, width).T,
        f"{begin}.mlp.gate_proj.weight": ours["in_kernel"][:, 0].T,
        f"{begin}.mlp.up_proj.weight": ours["in_kernel"][:, 1].T,
        f"{begin}.mlp.down_proj.weight": ours["mlp_out_kernel"].T,
    }
