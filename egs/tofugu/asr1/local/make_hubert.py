"""Make a small HuBERT with random weights in Hugging Face's layout: 20 ms a step, layer norm, as the large one has.

python local/make_hubert.py --out exp/hubert_init [--dim 128 --layers 3 --heads 4 --ffn_dim 256]
"""

from __future__ import annotations

import argparse

CONV = {"conv_dim": [24, 32, 48, 64, 64], "conv_kernel": [20, 8, 4, 4, 4], "conv_stride": [10, 4, 2, 2, 2]}
"""Convolutions on the waveform, together 320 samples a step. The published model has seven of 512 channels, the first at
3200 Hz; on a CPU such a first layer would take most of the time."""


def main() -> None:
    """Write config.json, model.safetensors and preprocessor_config.json."""
    import torch
    from transformers import AutoConfig, AutoModel, Wav2Vec2FeatureExtractor
    from transformers.utils.logging import disable_progress_bar

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", required=True, help="folder to write")
    parser.add_argument("--dim", type=int, default=128, help="width")
    parser.add_argument("--layers", type=int, default=3, help="transformer layers")
    parser.add_argument("--heads", type=int, default=4, help="attention heads")
    parser.add_argument("--ffn_dim", type=int, default=256, help="width of the feed-forward layers")
    parser.add_argument("--seed", type=int, default=0, help="seed of the random weights")
    args = parser.parse_args()
    disable_progress_bar()
    config = AutoConfig.for_model(
        "hubert", hidden_size=args.dim, num_hidden_layers=args.layers, num_attention_heads=args.heads,
        intermediate_size=args.ffn_dim, num_feat_extract_layers=len(CONV["conv_dim"]), **CONV, conv_bias=True,
        feat_extract_norm="layer", do_stable_layer_norm=True, num_conv_pos_embeddings=32, num_conv_pos_embedding_groups=8,
        hidden_dropout=0.0, attention_dropout=0.0, activation_dropout=0.0, feat_proj_dropout=0.0, layerdrop=0.0,
    )  # fmt: skip
    torch.manual_seed(args.seed)
    AutoModel.from_config(config).save_pretrained(args.out)
    Wav2Vec2FeatureExtractor(do_normalize=True, return_attention_mask=True).save_pretrained(args.out)


if __name__ == "__main__":
    main()
