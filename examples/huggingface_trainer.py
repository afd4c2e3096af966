"""Tune a model with Hugging Face's Trainer: trials that ASHA pauses go on from the Trainer's checkpoint.

Run it with: python examples/huggingface_trainer.py [N_TRIALS]; it needs transformers, accelerate and torch. The model is made here,
so that nothing is downloaded.
"""

from __future__ import annotations

import sys

import torch
from transformers import BertConfig, BertForSequenceClassification, Trainer, TrainingArguments, set_seed

import tunewright
from tunewright import Float
from tunewright.integrations.transformers import TunewrightCallback


def train(learning_rate: float, weight_decay: float, epochs: int) -> None:
    """One trial."""
    set_seed(0)
    config = BertConfig(
        vocab_size=32, hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64
    )
    texts = torch.randint(0, 32, (512, 12))
    data = [{"input_ids": text, "labels": int(text[0] < text[-1])} for text in texts]
    callback = TunewrightCallback("eval_loss")
    trainer = Trainer(
        BertForSequenceClassification(config),
        TrainingArguments(
            "output",
            eval_strategy="epoch",
            save_strategy="no",
            learning_rate=learning_rate,
            weight_decay=weight_decay,
            num_train_epochs=epochs,
            per_device_train_batch_size=32,
            disable_tqdm=True,
            report_to=[],
            use_cpu=True,
        ),
        train_dataset=data[:384],
        eval_dataset=data[384:],
        callbacks=[callback],
    )
    trainer.train(resume_from_checkpoint=callback.checkpoint)


if __name__ == "__main__":
    outcome = tunewright.tune(
        train,
        {"learning_rate": Float(1e-5, 1e-2, log=True), "weight_decay": Float(0.0, 0.3), "epochs": 9},
        metric="eval_loss",
        goal="min",
        resource="epoch",
        max_resource=9,
        method="ASHA",
        n_workers=2,
        n_trials=int(sys.argv[1]) if len(sys.argv) > 1 else 12,
    )
    print(outcome.best)
