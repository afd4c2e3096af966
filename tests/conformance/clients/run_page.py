"""Runs the code of a section of docs/integrations.md, with the objects that it leaves to the reader: run_page.py PAGE SECTION."""

import os
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np

x = np.random.default_rng(0).normal(size=(64, 4)).astype("float32")
y = x.sum(axis=1)


def lightning() -> dict[str, Any]:
    import lightning as framework
    import torch
    from torch.utils.data import DataLoader, TensorDataset
    from train_lightning import Model

    os.environ.pop("TRAINED", None)
    batches = DataLoader(TensorDataset(torch.tensor(x), torch.tensor(y)), batch_size=16)
    data = framework.LightningDataModule()
    data.train_dataloader = data.val_dataloader = lambda: batches
    return {"lightning": framework, "model": Model(0.1), "data": data, "epochs": 1}


def hugging_face() -> dict[str, Any]:
    import torch
    from transformers import BertConfig, BertForSequenceClassification, Trainer, TrainingArguments

    small = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8}
    data = [{"input_ids": torch.arange(6), "labels": number % 2} for number in range(16)]
    model = BertForSequenceClassification(BertConfig(vocab_size=20, **small))
    names = {"Trainer": Trainer, "TrainingArguments": TrainingArguments}
    return {**names, "model": model, "train": data, "valid": data, "epochs": 1}


def keras() -> dict[str, Any]:
    os.environ["KERAS_BACKEND"] = "torch"
    import keras

    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
    model.compile("adam", "mse")
    return {"model": model, "x": x, "y": y, "valid": (x, y), "epochs": 1}


def xgboost() -> dict[str, Any]:
    import xgboost as framework

    data = framework.DMatrix(x, y)
    return {"xgboost": framework, "params": {}, "train": data, "valid": data, "rounds": 2}


def lightgbm() -> dict[str, Any]:
    import lightgbm as framework

    data = framework.Dataset(x, y)
    return {"lightgbm": framework, "params": {"verbosity": -1}, "train": data, "valid": data, "rounds": 2}


page, section = sys.argv[1:]
(code,) = re.findall(
    rf"^## {section}\n.*?^```python\n(.*?)^```$", Path(page).read_text(), re.MULTILINE | re.DOTALL
)
prepare = globals()[re.sub(r"\W", "_", section.lower())]
exec(code, prepare())  # noqa: S102 - code of our own page
