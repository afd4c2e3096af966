"""Clusters: the instances that jobs hold, and the warm pools that are kept between jobs.

A cluster is busy from the creation of its job until that job is over. Then it is given up, or it stays *Available*
until it expires, is taken over by a job that matches exactly, or is released by UpdateTrainingJob.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from sagemaker_emulator.service.errors import limit_exceeded
from sagemaker_emulator.service.jobs import Job, PoolStatus, WarmPool
from sagemaker_emulator.service.settings import (
    MAX_CLUSTER_AGE,
    ServiceSettings,
    job_quota,
    total_quota,
    usage_quota,
)

MatchKey = tuple[object, ...]
"""Values that must be equal for a job to take over a warm pool."""


def match_key(request: Mapping[str, Any]) -> MatchKey:
    """Fields of a request that the service compares; all others (image, data, tags ...) may differ."""
    resources = request["ResourceConfig"]
    network = request.get("VpcConfig", {})
    return (
        request["RoleArn"],
        resources.get("InstanceType"),
        resources.get("InstanceCount"),
        resources.get("VolumeKmsKeyId"),
        resources.get("VolumeSizeInGB"),
        tuple(sorted(network.get("SecurityGroupIds", ()))),
        tuple(sorted(network.get("Subnets", ()))),
        bool(request.get("EnableInterContainerTrafficEncryption")),
        bool(request.get("EnableNetworkIsolation")),
        bool(request.get("SessionChainingConfig", {}).get("EnableSessionTagChaining")),
    )


def instances(request: Mapping[str, Any]) -> Counter[str]:
    """Number of instances of each type that the job needs."""
    resources = request["ResourceConfig"]
    groups = resources.get("InstanceGroups") or [resources]
    counts: Counter[str] = Counter()
    for group in groups:
        counts[group["InstanceType"]] += group["InstanceCount"]
    return counts


@final
@dataclass(slots=True, kw_only=True, eq=False)
class Cluster:
    """Instances in use. ``holder`` is the job that runs on them, or the last one if the cluster is warm."""

    directory: Path
    key: MatchKey
    counts: Counter[str]
    is_spot: bool
    holder: Job
    launched_at: float | None = None
    """Epoch seconds; None until the instances are up."""
    idle_since: float | None = None
    """Epoch seconds; None while a job runs on it."""
    expires_at: float = 0.0


@final
class Clusters:
    """All clusters of the account. ``on_end`` is called with each cluster that is released."""

    def __init__(self, settings: ServiceSettings, on_end: Callable[[Cluster], None]) -> None:
        self._settings = settings
        self._on_end = on_end
        self._clusters: list[Cluster] = []

    def take_over(self, request: Mapping[str, Any], now: float) -> Cluster | None:
        """The oldest Available pool that matches the request and is not too old, or None."""
        if request.get("EnableManagedSpotTraining"):
            return None
        key = match_key(request)
        for cluster in self._clusters:
            if cluster.idle_since is not None and cluster.key == key and not self._is_too_old(cluster, now):
                return cluster
        return None

    def hand_over(self, cluster: Cluster, job: Job, now: float) -> None:
        """Assign a warm cluster to its next job."""
        self._end_idling(cluster, now, "Reused", reused_by=job.name)
        cluster.holder = job
        _mark_in_use(job)

    def launch(self, job: Job, directory: Path) -> Cluster:
        """Add a new cluster for the job.

        Raises
        ------
        ServiceError
            ResourceLimitExceeded: the quota of one of the instance types is used up.
        """
        counts = instances(job.request)
        self._check_quota(counts, is_spot=job.is_spot)
        cluster = Cluster(
            directory=directory, key=match_key(job.request), counts=counts, is_spot=job.is_spot, holder=job
        )
        self._clusters.append(cluster)
        _mark_in_use(job)
        return cluster

    def retain(self, cluster: Cluster, now: float) -> bool:
        """Keep the cluster of a finished job as a warm pool if keep-alive and quota allow it; otherwise release it."""
        keep_alive = cluster.holder.keep_alive
        if not keep_alive or not self._has_pool_quota(cluster) or self._is_too_old(cluster, now):
            self.end(cluster, now)
            return False
        cluster.holder.pool = WarmPool(status="Available", retained_seconds=0.0)
        cluster.idle_since = now
        self.keep_until(cluster, now, keep_alive)
        return True

    def keep_until(self, cluster: Cluster, now: float, keep_alive: float) -> None:
        """Set the expiry of an Available pool to ``keep_alive`` service seconds from now."""
        cluster.expires_at = now + keep_alive / self._settings.speed

    def end(self, cluster: Cluster, now: float) -> None:
        """Release the cluster."""
        self._clusters.remove(cluster)
        if cluster.idle_since is not None:
            self._end_idling(cluster, now, "Terminated")
        elif cluster.holder.pool is not None:
            cluster.holder.pool.status = "Terminated"
        self._on_end(cluster)

    def available_of(self, job: Job) -> Cluster | None:
        """The Available pool of this job, or None."""
        idle = (cluster for cluster in self._clusters if cluster.idle_since is not None)
        return next((cluster for cluster in idle if cluster.holder is job), None)

    def all(self) -> list[Cluster]:
        """Clusters in use and warm ones."""
        return list(self._clusters)

    def idle(self) -> list[Cluster]:
        """All Available pools."""
        return [cluster for cluster in self._clusters if cluster.idle_since is not None]

    def idle_seconds(self, cluster: Cluster, now: float) -> float:
        """Billed idle time until now, in service seconds; 0 while a job runs on the cluster."""
        since = now if cluster.idle_since is None else cluster.idle_since
        return max(0.0, min(now, cluster.expires_at) - since) * self._settings.speed

    def _end_idling(
        self, cluster: Cluster, now: float, status: PoolStatus, reused_by: str | None = None
    ) -> None:
        cluster.holder.pool = WarmPool(
            status=status, retained_seconds=self.idle_seconds(cluster, now), reused_by=reused_by
        )
        cluster.idle_since = None

    def _is_too_old(self, cluster: Cluster, now: float) -> bool:
        launched = cluster.launched_at
        return launched is not None and (now - launched) * self._settings.speed > MAX_CLUSTER_AGE

    def _check_quota(self, wanted: Counter[str], *, is_spot: bool) -> None:
        used: Counter[str] = Counter()
        for cluster in self._clusters:
            if cluster.is_spot == is_spot:
                used.update(cluster.counts)
        account, total = self._settings.account, self._settings.total
        if account.job_quota is not None and wanted.total() > account.job_quota:
            raise limit_exceeded(job_quota(is_spot=is_spot), account.job_quota, 0, wanted.total())
        for instance_type, count in wanted.items():
            limit = self._settings.quota(instance_type)
            if used[instance_type] + count > limit:
                name = usage_quota(instance_type, is_spot=is_spot)
                raise limit_exceeded(name, limit, used[instance_type], count)
        if total is not None and used.total() + wanted.total() > total:
            raise limit_exceeded(total_quota(is_spot=is_spot), total, used.total(), wanted.total())

    def _has_pool_quota(self, cluster: Cluster) -> bool:
        for instance_type, count in cluster.counts.items():
            kept = sum(other.counts[instance_type] for other in self.idle())
            if kept + count > self._settings.warm_pool_quota(instance_type):
                return False
        return True


def _mark_in_use(job: Job) -> None:
    if job.keep_alive:
        job.pool = WarmPool(status="InUse")
