"""Train a transformer to predict the next word of WikiText-2, epoch by epoch.

One report an epoch: ``epoch`` and ``val_loss``, the cross-entropy per word of the validation text. The learning rate
is quartered after each epoch that brought no improvement.

``--dataset_path`` is a folder that holds ``train.txt`` and ``valid.txt``; they are downloaded if missing.
"""

# pyright: basic, reportMissingImports=false
from __future__ import annotations

import argparse
import math
import sys
from typing import final

import torch
from torch import nn
from torch.nn.functional import cross_entropy
from training import Training, argument_parser, pick_device, seed_epoch
from wikitext import in_columns, load_text, windows

from tunewright import Reporter

VALID_BATCH_SIZE = 10
LR_FACTOR = 0.25


def parse_arguments() -> argparse.Namespace:
    """Read the hyperparameters."""
    parser = argument_parser(__doc__)
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--dropout", type=float, default=0.2)
    parser.add_argument("--batch_size", type=int, default=20)
    parser.add_argument("--momentum", type=float, default=0.0, help="of sgd")
    parser.add_argument("--clip", type=float, default=0.25)
    parser.add_argument("--d_model", type=int, default=256)
    parser.add_argument("--ffn_ratio", type=int, default=1, help="hidden units of a layer, in d_model")
    parser.add_argument("--nlayers", type=int, default=2)
    parser.add_argument("--nhead", type=int, default=2)
    parser.add_argument("--bptt", type=int, default=35, help="words that are seen together")
    parser.add_argument("--optimizer", choices=("sgd", "adam"), default="sgd")
    parser.add_argument(
        "--precision", choices=("float", "half"), default="float", help="half: mixed, on GPUs"
    )
    parser.add_argument("--log_interval", type=int, default=200, help="batches between two lines")
    parser.add_argument("--use_cuda", type=int, choices=(0, 1), default=1)
    return parser.parse_args()


@final
class LanguageModel(nn.Module):
    """Embedding with sinusoidal positions, an encoder that looks back only, and a decoder (Vaswani et al. 2017)."""

    def __init__(self, n_words: int, args: argparse.Namespace) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(
            args.d_model, args.nhead, args.ffn_ratio * args.d_model, args.dropout
        )
        self.embedding = nn.Embedding(n_words, args.d_model)
        self.dropout = nn.Dropout(args.dropout)
        self.encoder = nn.TransformerEncoder(layer, args.nlayers, enable_nested_tensor=False)
        self.decoder = nn.Linear(args.d_model, n_words)
        nn.init.uniform_(self.embedding.weight, -0.1, 0.1)
        nn.init.uniform_(self.decoder.weight, -0.1, 0.1)
        nn.init.zeros_(self.decoder.bias)
        self.register_buffer("positions", sinusoids(args.bptt, args.d_model), persistent=False)
        mask = nn.Transformer.generate_square_subsequent_mask(args.bptt)
        self.register_buffer("mask", mask, persistent=False)
        self.scale = math.sqrt(args.d_model)

    def forward(self, words: torch.Tensor) -> torch.Tensor:
        """(length, batch) -> scores (length * batch, n_words)."""
        length = len(words)
        inputs = self.dropout(self.embedding(words) * self.scale + self.positions[:length])
        output = self.encoder(inputs, self.mask[:length, :length], is_causal=True)
        return self.decoder(output).flatten(0, 1)


def sinusoids(length: int, d_model: int) -> torch.Tensor:
    """Sines and cosines of the position in d_model / 2 frequencies: (length, 1, d_model), d_model even."""
    frequencies = torch.exp(torch.arange(0, d_model, 2) * (-math.log(10_000.0) / d_model))
    angles = torch.arange(length)[:, None] * frequencies
    return torch.stack([angles.sin(), angles.cos()], dim=2).reshape(length, 1, d_model)


def build_optimizer(args: argparse.Namespace, model: LanguageModel) -> torch.optim.Optimizer:
    """The chosen optimiser."""
    if args.optimizer == "adam":
        return torch.optim.Adam(model.parameters(), args.lr)
    return torch.optim.SGD(model.parameters(), args.lr, momentum=args.momentum)


def train_epoch(
    model: LanguageModel, training: Training, columns: torch.Tensor, args: argparse.Namespace
) -> None:
    """Read the text once."""
    model.train()
    for batch, (words, following) in enumerate(windows(columns, args.bptt), start=1):
        with training.precision():
            loss = cross_entropy(model(words), following)
        training.step(loss)
        if batch % args.log_interval == 0:
            sys.stdout.write(f"batch {batch}: loss {float(loss):.3f}\n")


def mean_loss(model: LanguageModel, training: Training, columns: torch.Tensor, bptt: int) -> float:
    """Cross-entropy per word."""
    model.eval()
    total = 0.0
    with torch.inference_mode(), training.precision():
        for words, following in windows(columns, bptt):
            total += float(cross_entropy(model(words), following, reduction="sum"))
    return total / (columns.numel() - columns.shape[1])


def main() -> None:
    """Train from the checkpoint, if there is one, to the last epoch."""
    args = parse_arguments()
    device = pick_device(use_gpu=bool(args.use_cuda))
    text = load_text(args.dataset_path)
    train = in_columns(text.train, args.batch_size, device)
    valid = in_columns(text.valid, VALID_BATCH_SIZE, device)
    seed_epoch(args.seed, 0)
    model = LanguageModel(text.n_words, args).to(device)
    optimizer = build_optimizer(args, model)
    scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, factor=LR_FACTOR, patience=0)
    training = Training(
        model,
        optimizer,
        scheduler=scheduler,
        folder=args.checkpoint_dir,
        max_norm=args.clip,
        is_mixed=args.precision == "half",
    )
    done, _ = training.resume()
    report = Reporter()
    for epoch in range(done + 1, args.epochs + 1):
        seed_epoch(args.seed, epoch)
        train_epoch(model, training, train, args)
        loss = mean_loss(model, training, valid, args.bptt)
        scheduler.step(loss)
        training.save(epoch)
        report(epoch=epoch, val_loss=loss)


if __name__ == "__main__":
    main()
