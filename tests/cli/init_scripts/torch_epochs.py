"""PyTorch: a loop over epochs, losses of training and validation."""

import argparse

import torch
from torch import nn

import tunewright


def parse():
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", default="data")
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--weight-decay", type=float, default=0.0)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--dropout", type=float, default=0.1)
    parser.add_argument("--hidden", type=int, default=128)
    parser.add_argument("--optimizer", choices=["adam", "sgd"], default="adam")
    parser.add_argument("--warmup_steps", type=int, default=100)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--num_workers", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


def evaluate(model, x, y):
    with torch.no_grad():
        output = model(x)
        return {
            "val_loss": nn.functional.cross_entropy(output, y).item(),
            "val_acc": (output.argmax(1) == y).float().mean().item(),
        }


def main():
    args = parse()
    torch.manual_seed(args.seed)
    model = nn.Sequential(
        nn.Linear(20, args.hidden), nn.ReLU(), nn.Dropout(args.dropout), nn.Linear(args.hidden, 2)
    )
    kind = {"adam": torch.optim.Adam, "sgd": torch.optim.SGD}[args.optimizer]
    optimizer = kind(model.parameters(), lr=args.lr, weight_decay=args.weight_decay)
    x = torch.randn(512, 20)
    y = (x[:, 0] > 0).long()
    for epoch in range(args.epochs):
        total = 0.0
        for batch in range(0, len(x), args.batch_size):
            loss = nn.functional.cross_entropy(
                model(x[batch : batch + args.batch_size]), y[batch : batch + args.batch_size]
            )
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item()
        tunewright.report(epoch=epoch + 1, train_loss=total, **evaluate(model, x, y))


if __name__ == "__main__":
    main()
