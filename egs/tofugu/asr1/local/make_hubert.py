"""Make a small HuBERT with random weights in Hugging Face's layout: 20 ms a step, layer norm, as the large one has.

python local/make_hubert.py --out exp/hubert_init [--dim 144 --layers 3 --heads 4 --ffn_dim 384]
"""

from __future__ import annotations

import argparse

CHANNELS = [16, 24, 32, 48, 64, 64, 64]
"""Few where the rate is high: on a CPU the first layers take nearly all the time (the published model has 512 in each)."""


def main() -> None:
    """Write config.json, model.safetensors and preprocessor_config.json."""
    import torch
    from transformers import AutoConfig, AutoModel, Wav2Vec2FeatureExtractor
    from transformers.utils.logging import disable_progress_bar

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", required=True, help="folder to write")
    parser.add_argument("--dim", type=int, default=144, help="width")
    parser.add_argument("--layers", type=int, default=3, help="transformer layers")
    parser.add_argument("--heads", type=int, default=4, help="attention heads")
    parser.add_argument("--ffn_dim", type=int, default=384, help="width of the feed-forward layers")
    parser.add_argument(
        "--channels", type=int, nargs=7, default=CHANNELS, help="channels of the seven convolutions on the waveform"
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of the random weights")
    args = parser.parse_args()
    disable_progress_bar()
    config = AutoConfig.for_model(
        "hubert", hidden_size=args.dim, num_hidden_layers=args.layers, num_attention_heads=args.heads,
        intermediate_size=args.ffn_dim, conv_dim=args.channels, conv_bias=True, feat_extract_norm="layer",
        do_stable_layer_norm=True, num_conv_pos_embeddings=32, num_conv_pos_embedding_groups=8, hidden_dropout=0.0,
        attention_dropout=0.0, activation_dropout=0.0, feat_proj_dropout=0.0, layerdrop=0.0,
    )  # fmt: skip
    torch.manual_seed(args.seed)
    AutoModel.from_config(config).save_pretrained(args.out)
    Wav2Vec2FeatureExtractor(do_normalize=True, return_attention_mask=True).save_pretrained(args.out)


if __name__ == "__main__":
    main()
