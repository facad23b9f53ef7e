"""Which GPUs a job runs on, by RELION's fields `use_gpu` and `gpu_ids`, and by `own.device`."""

from __future__ import annotations

import dataclasses
import logging
import os
import re
from collections.abc import Mapping, MutableMapping
from itertools import takewhile

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


def faults(options: Class2DOptions, own: OwnOptions) -> list[str]:
    """Return what is wrong with the options on any machine."""
    found: list[str] = []
    try:
        gpu_numbers(options.gpu_ids)
    except ConfigError as error:
        found += error.problems
    if options.use_gpu and own.device == "cpu":
        found.append("class2d.use_gpu: Yes contradicts own.device: cpu; say one of them")
    return found


def with_gpu(
    options: Class2DOptions, own: OwnOptions, environment: MutableMapping[str, str] = os.environ
) -> tuple[OwnOptions, int]:
    """Return the options of ours with the device that `use_gpu` asks for, and how many GPUs may share the job.

    The process is shown the GPUs alone that `gpu_ids` names; where it names none, one works, however many there are.

    To be called before anything runs on a device. RELION's list has a GPU once for every process and thread; here
    each works once. Numbers count within the devices that the queue has given to the job. With `own.device: auto`
    and without `use_gpu`, what cannot be had is told and left to the choice of the device.

    Raises
    ------
    ConfigError
        `gpu_ids` cannot be read, a device is not among those given, no device is given, or `own.device` is cpu.
    """
    if problems := faults(options, own):
        raise ConfigError(*problems)
    if own.device == "cpu":
        return own, 1
    own = dataclasses.replace(own, device="gpu") if options.use_gpu else own
    numbers, given = list(dict.fromkeys(gpu_numbers(options.gpu_ids))), _given(environment)
    problem = _problem(numbers, given)
    if problem and own.device == "gpu":
        raise ConfigError(problem)
    if problem or not numbers:
        if numbers:
            logger.warning("%s. class2d.gpu_ids is left out of account, as own.device is auto", problem)
        return own, 1
    environment[VISIBLE] = ",".join(str(number) if given is None else given[number] for number in numbers)
    logger.info("GPU %s (%s=%s)", ", ".join(map(str, numbers)), VISIBLE, environment[VISIBLE])
    return own, len(numbers)


def _given(environment: Mapping[str, str]) -> list[str] | None:
    """Return the devices that the queue has given to the job; None where it has said nothing."""
    text = environment.get(VISIBLE)
    if text is None:
        return None
    return list(takewhile(lambda name: name not in ("", "-1"), text.replace(" ", "").split(",")))  # as CUDA reads it


def _problem(numbers: list[int], given: list[str] | None) -> str:
    """Return why the GPUs cannot be had; nothing where they can, as far as the environment tells."""
    if given is None:
        return ""
    if not given:
        return (
            f"a GPU is asked for (class2d.use_gpu, class2d.gpu_ids or own.device), but {VISIBLE} names none: the "
            "job was given none. Ask the queue for one, or say use_gpu: No and own.device: cpu"
        )
    if numbers and max(numbers) >= len(given):
        return f"class2d.gpu_ids: GPU {max(numbers)} is not among the {len(given)} given to the job"
    return ""
