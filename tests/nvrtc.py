"""NVIDIA's compiler for CUDA sources, which needs no GPU: pip install nvidia-cuda-nvrtc-cu12, or WINNOW_NVRTC."""

import ctypes
import ctypes.util
import importlib.util
import os
from pathlib import Path


def compiler() -> ctypes.CDLL | None:
    """Return the compiler, or None if it is not installed; WINNOW_NVRTC may name its shared library."""
    found = [os.environ.get("WINNOW_NVRTC"), ctypes.util.find_library("nvrtc")]
    try:
        spec = importlib.util.find_spec("nvidia.cuda_nvrtc")
    except ModuleNotFoundError:
        spec = None
    for folder in spec.submodule_search_locations if spec else []:
        found += sorted(map(str, Path(folder).glob("lib/libnvrtc.so.*")))
    for path in filter(None, found):
        try:
            return ctypes.CDLL(path)
        except OSError:
            continue
    return None


def compiled(nvrtc: ctypes.CDLL, text: str, name: str, options: list[str]) -> tuple[bytes, str]:
    """Return PTX and log of a source; the PTX is empty if it does not compile."""
    program, size = ctypes.c_void_p(), ctypes.c_size_t()
    assert nvrtc.nvrtcCreateProgram(ctypes.byref(program), text.encode(), name.encode(), 0, None, None) == 0
    words = (ctypes.c_char_p * len(options))(*map(str.encode, options))
    failed = nvrtc.nvrtcCompileProgram(program, len(options), words)
    nvrtc.nvrtcGetProgramLogSize(program, ctypes.byref(size))
    log = ctypes.create_string_buffer(size.value)
    nvrtc.nvrtcGetProgramLog(program, log)
    if failed:
        return b"", log.value.decode()
    nvrtc.nvrtcGetPTXSize(program, ctypes.byref(size))
    ptx = ctypes.create_string_buffer(size.value)
    nvrtc.nvrtcGetPTX(program, ptx)
    return ptx.value, log.value.decode()
