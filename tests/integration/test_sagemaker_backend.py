"""The SageMaker backend on the embedded endpoint: real jobs, real processes, over HTTP."""

from __future__ import annotations

from pathlib import Path

import pytest

from tunewright.aws import open_session, resolve_endpoint
from tunewright.backends.sagemaker import SageMakerBackend, SageMakerSettings, TrainingScript
from tunewright.interfaces import Backend
from tunewright.testing.backend_contract import BackendContract
from tunewright.testing.training_script import PATH, RESOURCE_ATTR

SPEED = 300.0


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the embedded endpoint that the tests of this module share."""
    return tmp_path_factory.mktemp("endpoint")


class TestSageMakerBackend(BackendContract):
    @pytest.fixture(autouse=True)
    def _endpoint(self, root: Path) -> None:
        self.root = root

    def make_backend(self, folder: Path, *, n_workers: int) -> Backend:
        session = open_session(resolve_endpoint("embedded", speed=SPEED), root=self.root)
        return SageMakerBackend(
            TrainingScript(path=str(PATH), resource_attr=RESOURCE_ATTR),
            experiment=f"contract {folder.name}",
            session=session,
            settings=SageMakerSettings(n_workers=n_workers, warm_pool=True, min_interval=0.1),
        )
