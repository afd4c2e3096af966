"""Train an LSTM to predict the next word of WikiText-2, epoch by epoch.

One report an epoch: ``epoch`` and ``objective``, the negative perplexity of the validation text, of this epoch, or the
best so far with ``--report_current_best True``. The learning rate is divided by ``--lr_factor`` after each epoch that
brought no improvement.

``--dataset_path`` is a folder that holds ``train.txt`` and ``valid.txt``; they are downloaded if missing.
"""

# pyright: basic, reportMissingImports=false
from __future__ import annotations

import argparse
import math
from typing import final

import torch
from torch import nn
from torch.nn.functional import cross_entropy
from training import Training, argument_parser, parse_bool, pick_device, seed_epoch
from wikitext import in_columns, load_text, windows

from tunewright import Reporter

N_UNITS = 200  # of the embedding, which is the decoder as well, and of each layer
N_LAYERS = 2
BPTT = 35  # words through which gradients flow
VALID_BATCH_SIZE = 10
MAX_LOSS = 10.0  # beyond it a perplexity says nothing

Hidden = tuple[torch.Tensor, torch.Tensor]


def parse_arguments() -> argparse.Namespace:
    """Read the hyperparameters."""
    parser = argument_parser(__doc__)
    parser.add_argument("--epochs", type=int, default=81)
    parser.add_argument("--lr", type=float, default=20.0)
    parser.add_argument("--dropout", type=float, default=0.2)
    parser.add_argument("--batch_size", type=int, default=20)
    parser.add_argument("--clip", type=float, default=0.25)
    parser.add_argument("--lr_factor", type=float, default=4.0)
    parser.add_argument("--report_current_best", type=parse_bool, default=False)
    return parser.parse_args()


@final
class LanguageModel(nn.Module):
    """Embedding, LSTM, and a decoder that shares the embedding's weights (Press and Wolf 2017)."""

    def __init__(self, n_words: int, dropout: float) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.embedding = nn.Embedding(n_words, N_UNITS)
        self.lstm = nn.LSTM(N_UNITS, N_UNITS, N_LAYERS, dropout=dropout)
        self.decoder = nn.Linear(N_UNITS, n_words)
        nn.init.uniform_(self.embedding.weight, -0.1, 0.1)
        nn.init.zeros_(self.decoder.bias)
        self.decoder.weight = self.embedding.weight

    def forward(self, words: torch.Tensor, hidden: Hidden | None) -> tuple[torch.Tensor, Hidden]:
        """(length, batch) -> scores (length * batch, n_words), and the state after the last word."""
        output, after = self.lstm(self.dropout(self.embedding(words)), hidden)
        return self.decoder(self.dropout(output)).flatten(0, 1), after


def train_epoch(model: LanguageModel, training: Training, columns: torch.Tensor) -> None:
    """Read the text once; the state flows on, gradients do not."""
    model.train()
    hidden: Hidden | None = None
    for words, following in windows(columns, BPTT):
        if hidden is not None:
            hidden = (hidden[0].detach(), hidden[1].detach())
        with training.precision():
            scores, hidden = model(words, hidden)
            loss = cross_entropy(scores, following)
        training.step(loss)


def mean_loss(model: LanguageModel, training: Training, columns: torch.Tensor) -> float:
    """Cross-entropy per word."""
    model.eval()
    total = 0.0
    hidden: Hidden | None = None
    with torch.inference_mode(), training.precision():
        for words, following in windows(columns, BPTT):
            scores, hidden = model(words, hidden)
            total += float(cross_entropy(scores, following, reduction="sum"))
    return total / (columns.numel() - columns.shape[1])


def negative_perplexity(loss: float) -> float:
    """NaN stays NaN."""
    return -math.exp(min(max(loss, 1e-10), MAX_LOSS))


def main() -> None:
    """Train from the checkpoint, if there is one, to the last epoch."""
    args = parse_arguments()
    device = pick_device()
    text = load_text(args.dataset_path)
    train = in_columns(text.train, args.batch_size, device)
    valid = in_columns(text.valid, VALID_BATCH_SIZE, device)
    seed_epoch(args.seed, 0)
    model = LanguageModel(text.n_words, args.dropout).to(device)
    optimizer = torch.optim.SGD(model.parameters(), args.lr)
    training = Training(model, optimizer, folder=args.checkpoint_dir, max_norm=args.clip)
    done, values = training.resume()
    best_loss = values.get("best_loss", math.inf)
    report = Reporter()
    for epoch in range(done + 1, args.epochs + 1):
        seed_epoch(args.seed, epoch)
        train_epoch(model, training, train)
        loss = mean_loss(model, training, valid)
        if loss < best_loss:
            best_loss = loss
        else:
            for group in optimizer.param_groups:
                group["lr"] /= args.lr_factor
        training.save(epoch, best_loss=best_loss)
        shown = best_loss if args.report_current_best else loss
        report(epoch=epoch, objective=negative_perplexity(shown))


if __name__ == "__main__":
    main()
