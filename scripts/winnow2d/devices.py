"""Which GPU a job runs on, by RELION's fields `use_gpu` and `gpu_ids`."""

from __future__ import annotations

import dataclasses
import logging
import os
import re
from collections.abc import MutableMapping

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
    """Return the options of ours with the device that `use_gpu` asks for, and show the process this device alone.

    To be called before anything runs on a device. Winnow computes on one GPU: the first one named. Numbers count
    within the devices that the queue has given to the job.

    Raises
    ------
    ConfigError
        The device is not among those, `gpu_ids` cannot be read, or `own.device` is cpu.
    """
    if not options.use_gpu:
        return own
    if own.device == "cpu":
        raise ConfigError("class2d.use_gpu: Yes contradicts own.device: cpu; say one of them")
    numbers = gpu_numbers(options.gpu_ids)
    if numbers:
        given = [name for name in environment.get(VISIBLE, "").split(",") if name]
        if given and numbers[0] >= len(given):
            raise ConfigError(f"class2d.gpu_ids: GPU {numbers[0]} is not among the {len(given)} given to the job")
        environment[VISIBLE] = given[numbers[0]] if given else str(numbers[0])
        others = f"; of {options.gpu_ids} one is used" if len(set(numbers)) > 1 else ""
        logger.info("GPU %d (%s=%s)%s", numbers[0], VISIBLE, environment[VISIBLE], others)
    return dataclasses.replace(own, device="gpu")
