"""A script of Hugging Face's Trainer; it notes each epoch that it trains in the file $TRAINED."""

import argparse
import os
import tempfile
from pathlib import Path

import torch
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    Trainer,
    TrainerCallback,
    TrainingArguments,
    set_seed,
)

from tunewright.integrations.transformers import TunewrightCallback


class Note(TrainerCallback):
    def on_epoch_begin(self, args, state, control, **kwargs):
        if state.is_world_process_zero and "TRAINED" in os.environ:
            with Path(os.environ["TRAINED"]).open("a") as file:
                file.write(f"{os.environ.get('TUNEWRIGHT_TRIAL')} {round(state.epoch) + 1}\n")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--metric", default="eval_loss")
    parser.add_argument("--eval_strategy", default="epoch")
    parser.add_argument(
        "--forget", action="store_true", help="begin from scratch although there is a checkpoint"
    )
    args = parser.parse_args()

    set_seed(0)
    config = BertConfig(
        vocab_size=20,
        hidden_size=8,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=8,
        max_position_embeddings=8,
    )
    model = BertForSequenceClassification(config)
    words = torch.randint(0, 20, (32, 6))
    data = [{"input_ids": row, "labels": int(row[0]) % 2} for row in words]
    callback = TunewrightCallback(args.metric)
    with tempfile.TemporaryDirectory() as output:
        arguments = TrainingArguments(
            output,
            eval_strategy=args.eval_strategy,
            save_strategy="no",
            learning_rate=args.lr,
            lr_scheduler_type="constant",
            num_train_epochs=args.epochs,
            per_device_train_batch_size=8,
            disable_tqdm=True,
            report_to=[],
            use_cpu=True,
            eval_on_start=True,
            ddp_backend="gloo" if "WORLD_SIZE" in os.environ else None,
        )
        trainer = Trainer(
            model, arguments, train_dataset=data, eval_dataset=data, callbacks=[callback, Note()]
        )
        trainer.train(resume_from_checkpoint=None if args.forget else callback.checkpoint)
        assert arguments.output_dir == output


if __name__ == "__main__":
    main()
