"""
SageMaker with an account
=========================

The steps from a new role to the first experiment, with the permissions that Tunewright prints. Nothing of this page ran on AWS. It ran on the
endpoint of this machine with the preset ``strict``, which checks roles, policies and quotas as AWS does:

.. recording:: sagemaker_account

The commands are those for AWS, except for the two lines that `change for AWS <The endpoint_>`_.
"""

# sphinx_gallery_thumbnail_path = 'recordings/sagemaker_account.png'

from __future__ import annotations

import time

import tunewright
from tunewright import Float
from tunewright.backends.sagemaker import SageMakerConfig

# %%
# The endpoint
# ------------
# The server prints ``export`` lines, which lead the AWS command line, boto3 and Tunewright to it. These are the two lines that change: on AWS
# leave out the server and its ``export`` lines, and log in with ``aws configure`` or ``aws sso login``.
#
# .. recording:: sagemaker_account endpoint
#
# A role for the trials
# ---------------------
# A trial may use the files of experiments and write logs. It creates nothing.
#
# .. recording:: sagemaker_account role
#
# .. dropdown:: The policy of trials
#
#    .. recording:: sagemaker_account trial_policy
#
# A user for the tuner
# --------------------
# The user may create and stop jobs, and pass this one role. All commands below have the rights of this user.
#
# .. recording:: sagemaker_account user
#
# .. dropdown:: The policy of the user
#
#    .. recording:: sagemaker_account user_policy
#
# Quotas
# ------
# New accounts have a quota of 0 for most instance types and for warm pools. The exit code is 3 if one is too low.
#
# .. recording:: sagemaker_account quotas
#
# The account's behaviour
# -----------------------
# ``verify`` runs five short jobs on one instance, compares the account with the assumptions of the backend, and removes all it made. On AWS it
# states time and price first, and asks. "Not seen" is an assumption that this run could not test.
#
# .. recording:: sagemaker_account verify
#
# The experiment
# --------------
# The role is the only difference from :doc:`the tutorial without an account <sagemaker_here>`.


def train(lr: float, epochs: int) -> None:
    """One trial, in a training job."""
    for epoch in range(1, epochs + 1):
        time.sleep(0.3)
        tunewright.report(epoch=epoch, loss=(lr - 0.1) ** 2 + 1 / epoch)


outcome = tunewright.tune(
    train,
    {"lr": Float(1e-4, 1.0, log=True), "epochs": 3},
    metric="loss",
    method="RandomSearch",
    resource="epoch",
    max_resource=3,
    backend=SageMakerConfig(role="tunewright-trial", instance_type="ml.c5.xlarge", warm_pool=True),
    n_workers=2,
    n_trials=6,
    max_cost=1.0,
    tag="sagemaker-account",
)
print(outcome.best)

# %%
# .. recording:: sagemaker_account run
#
# .. image:: /recordings/sagemaker_account.png
#    :alt: Timeline of the two workers: cold start, training, warm starts
#    :class: sphx-glr-single-img
#
# Nothing is left
# ---------------
# ``cleanup`` lists jobs and warm pools that a crash left behind. ``purge`` deletes the files of an experiment in S3.
#
# .. recording:: sagemaker_account cleanup
#
# :doc:`Trials as SageMaker training jobs </sagemaker>` has the first errors of a new account with their remedies.
