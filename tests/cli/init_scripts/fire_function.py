"""fire: the parameters of a function, one of which has no default; one report at the end."""

from typing import Literal

import fire

from tunewright import report


def main(
    lr,
    depth: int = 3,
    kernel: Literal["point", "box"] = "box",
    *,
    shift=-1.0,
    warm: bool = False,
    max_iter=50,
):
    assert lr > 0
    assert depth >= 1
    assert kernel in ("point", "box")
    assert shift <= 0
    assert isinstance(warm, bool)
    assert max_iter == 50
    report(r2=lr * depth - shift)


fire.Fire(main)
