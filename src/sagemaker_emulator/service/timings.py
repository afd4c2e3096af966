"""Durations of a job's phases, in service seconds (an emulator divides them by its speed).

Sources: observed cold starts (100 to 170 s until the image is available), and the provider's published target for
warm starts (under 20 s).
"""

from __future__ import annotations

from typing import Final

Phase = tuple[str, float]
"""StatusMessage, service seconds."""

LAUNCHING: Final = "Launching requested ML instances"
COLD_START: Final[tuple[Phase, ...]] = (
    ("Starting the training job", 5.0),
    (LAUNCHING, 55.0),
    ("Preparing the instances for training", 40.0),
)
WARM_START: Final[tuple[Phase, ...]] = (
    ("Starting the training job", 2.0),
    ("Preparing the instances for training", 10.0),
)
CAPACITY_RETRY: Final[Phase] = (
    "Insufficient capacity error from EC2 while launching instances, retrying!",
    60.0,
)
"""Interval between two attempts of a spot job to get capacity, until MaxWaitTimeInSeconds."""
DOWNLOADING: Final[Phase] = ("Downloading input data", 5.0)
"""Added to the transfer time of the bytes; only for jobs with channels."""
BYTES_PER_SECOND: Final = 100e6
COLD_IMAGE: Final[Phase] = ("Downloading the training image", 25.0)
WARM_IMAGE: Final[Phase] = ("Downloading the training image", 3.0)
TRAINING_MESSAGE: Final = "Training image download completed. Training in progress."
STOPPING_MESSAGE: Final = "Stopping the training job"
UPLOADING: Final[Phase] = ("Uploading generated training model", 5.0)
STOP_GRACE: Final = 120.0
"""Seconds between SIGTERM and SIGKILL."""
STOP_BEFORE_TRAINING: Final = 5.0
"""Duration of a stop before training."""
MAX_CLUSTER_AGE: Final = 28 * 86400.0
"""Maximum age of a cluster that another job may take over."""
SPOT_PRICE_SHARE: Final = 0.3
"""BillableTimeInSeconds / TrainingTimeInSeconds of a spot job; the real share depends on the market."""
LOG_SECONDS: Final = 5.0
"""Delay between the output of a line and its appearance in the log; not published, 5 to 15 s were observed."""
