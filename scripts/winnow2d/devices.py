"""Which GPUs a job runs on, by RELION's fields `use_gpu` and `gpu_ids`."""

from __future__ import annotations

import dataclasses
import logging
import os
import re
from collections.abc import Mapping, MutableMapping

from winnow2d.errors import ConfigError
from winnow2d.options import Class2DOptions, OwnOptions

logger = logging.getLogger(__name__)
VISIBLE = "CUDA_VISIBLE_DEVICES"  # CUDA's own variable: every thread of the process sees these devices alone


def gpu_numbers(gpu_ids: str) -> list[int]:
    """Return the devices that RELION's field names, e.g. 0:1 or 0,1: one per process, or per thread of it.

    Raises
    ------
    ConfigError
        If it is anything but whole numbers with colons or commas between them.
    """
    text = gpu_ids.strip().strip('"').replace(" ", "")
    if not text:
        return []
    if not re.fullmatch(r"\d+([:,]\d+)*", text):
        raise ConfigError(f"class2d.gpu_ids: '{gpu_ids}' names no devices; expected numbers such as 0 or 0:1")
    return [int(number) for number in re.split("[:,]", text)]


def with_gpu(
    options: Class2DOptions, own: OwnOptions, environment: MutableMapping[str, str] = os.environ
) -> OwnOptions:
    """Return the options of ours with the device that `use_gpu` asks for, and show the process the named GPUs alone.

    To be called before anything runs on a device. RELION's list has a GPU once for every process and thread; here
    each works once. Numbers count within the devices that the queue has given to the job.

    Raises
    ------
    ConfigError
        A device is not among those, `gpu_ids` cannot be read, or `own.device` is cpu.
    """
    if not options.use_gpu:
        return own
    if own.device == "cpu":
        raise ConfigError("class2d.use_gpu: Yes contradicts own.device: cpu; say one of them")
    numbers = list(dict.fromkeys(gpu_numbers(options.gpu_ids)))
    if numbers:
        given = _named(environment)
        if given and max(numbers) >= len(given):
            raise ConfigError(f"class2d.gpu_ids: GPU {max(numbers)} is not among the {len(given)} given to the job")
        environment[VISIBLE] = ",".join(given[number] if given else str(number) for number in numbers)
        logger.info("GPU %s (%s=%s)", ", ".join(map(str, numbers)), VISIBLE, environment[VISIBLE])
    return dataclasses.replace(own, device="gpu")


def n_gpus(environment: Mapping[str, str] = os.environ) -> int:
    """Return how many GPUs share a job: those that `gpu_ids`, or else the queue, has named; one where nobody did.

    To be asked after `with_gpu`.
    """
    return max(len(_named(environment)), 1)


def _named(environment: Mapping[str, str]) -> list[str]:
    return [name for name in environment.get(VISIBLE, "").split(",") if name]
