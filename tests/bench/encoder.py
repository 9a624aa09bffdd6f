"""All layers' states beside `transformers.EsmForMaskedLM`: same weights and batch, one CPU thread.

    python tests/bench/encoder.py --output results/bench/encoder.json

Tokens per second of processor time. The batch has pads. The two sides take turns, and a case counts
only if all states agree. Training steps are train.py's.
"""

import logging
import sys

import torch
from comparison import Comparison, read_output, report, time_in_turns
from esm_peer import agree, make_config, make_encoder, make_peer
from torch import Tensor

from dnalm.model.encoder import EncoderConfig

SIZES = {"layers": 4, "heads": 8, "width": 256, "ffn_width": 1024, "max_tokens": 256}
SEQUENCES, ROUNDS = 8, 5
TOLERANCE = 1e-4  # of the norm of a layer's states


@torch.no_grad()
def compare_embedding(case: str, config: EncoderConfig) -> Comparison:
    """Return our tokens per CPU second beside the peer's without its head."""
    encoder = make_encoder(config).eval()
    peer = make_peer(config, encoder.state_dict()).eval().esm
    tokens = make_padded(config)
    real = tokens != config.pad_id
    layers = range(config.layers + 1)

    def run_ours() -> list[Tensor]:
        return list(encoder.embed_states(tokens, layers).values())

    def run_peer() -> list[Tensor]:
        output = peer(tokens, attention_mask=real.long(), output_hidden_states=True)
        return list(output.hidden_states)

    our_seconds, peer_seconds = time_in_turns(run_ours, run_peer, ROUNDS)
    pairs = zip(run_ours(), run_peer(), strict=True)
    return Comparison(
        case=case,
        ours=tokens.numel() / our_seconds,
        peer=tokens.numel() / peer_seconds,
        unit="tokens per CPU second",
        correct=all(agree(one[real], other[real], TOLERANCE) for one, other in pairs),
        limit=1.0,
    )


def make_padded(config: EncoderConfig) -> Tensor:
    """Return tokens int64[B, T] that end in pads, the first row with the most."""
    generator = torch.Generator().manual_seed(1)
    shape = (SEQUENCES, config.max_tokens)
    tokens = torch.randint(6, config.vocabulary_size, shape, generator=generator)
    lengths = torch.linspace(config.max_tokens // 2, config.max_tokens, SEQUENCES).long()
    tokens[torch.arange(config.max_tokens) >= lengths[:, None]] = config.pad_id
    return tokens


def main() -> int:
    output = read_output(__doc__)
    logging.getLogger("transformers").setLevel(logging.ERROR)
    torch.set_num_threads(1)
    forms = ("v1", "v2")
    rows = [compare_embedding(f"{form} states", make_config(form, **SIZES)) for form in forms]
    return report(rows, output)


if __name__ == "__main__":
    sys.exit(main())
