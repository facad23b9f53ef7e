"""The CUDA sources compiled as C++ and run on the CPU, thread by thread, through the doors of the GPU's compiler."""

import ctypes
import re
import subprocess
from pathlib import Path

import numpy as np

from winnow2d.numerics.kernels.cuda.launch import options, source

SHIM = Path(__file__).parent / "cuda_on_cpu" / "device.hpp"
_KERNEL = re.compile(r'extern "C" __global__ void (\w+)\(([^)]*)\)', re.DOTALL)
_C_TYPES = {"float": np.float32, "double": np.float64, "int": np.int32, "long long": np.int64,
            "unsigned long long": np.uint64, "signed char": np.int8}  # fmt: skip


def declared(code: str) -> dict[str, list[str]]:
    """Return the kernels of a source text with the declarations of their arguments."""
    return {
        kernel: [" ".join(part.split()) for part in arguments.split(",")] for kernel, arguments in _KERNEL.findall(code)
    }


class HostModule:
    """A source file as a shared library whose kernels are called like those of CuPy's RawModule."""

    def __init__(self, name: str, real: np.dtype, folder: Path, is_backwards: bool = False, code: str | None = None):
        code = source(name) if code is None else code
        self.kernels, self.is_backwards = declared(code), is_backwards
        self.real = "float" if real == np.float32 else "double"
        doors = "".join(map(self._door, self.kernels))
        text = folder / f"{name}_{self.real}.cpp"
        text.write_text(f'#include "{SHIM}"\n{code}\n{doors}')
        shared_object = text.with_suffix(".so")
        if not shared_object.exists():
            macros = [option for option in options(name, real) if option.startswith("-D")]
            command = ["g++", "-std=c++17", "-O1", "-ffp-contract=off", "-Wall", "-Wno-unused-function", "-Werror",
                       "-shared", "-fPIC", *macros, str(text), "-o", str(shared_object)]  # fmt: skip
            subprocess.run(command, check=True)
        self.host_code = ctypes.CDLL(str(shared_object))

    def _door(self, kernel: str) -> str:
        names = [declaration.split()[-1].lstrip("*") for declaration in self.kernels[kernel]]
        return (
            f'extern "C" int door_{kernel}(const unsigned int *grid, int threads, int backwards, '
            f"{', '.join(self.kernels[kernel])}) {{\n"
            f"    return device::launch(grid, threads, backwards, [=] {{ {kernel}({', '.join(names)}); }});\n}}\n"
        )

    def get_function(self, kernel: str):
        """Return what starts a kernel, with its arguments checked against the declaration."""
        declarations = self.kernels[kernel]

        def start(grid, block, arguments):
            assert len(arguments) == len(declarations), (kernel, len(arguments), len(declarations))
            values = list(map(self._value, declarations, arguments))
            size = (ctypes.c_uint * 3)(*grid, *[1] * (3 - len(grid)))
            failed = self.host_code[f"door_{kernel}"](size, *block, int(self.is_backwards), *values)
            assert not failed, f"{kernel}: some threads end while others wait for them"

        return start

    def _value(self, declaration: str, value):
        *words, name = declaration.replace("const ", "").replace("REAL", self.real).split()
        dtype = np.dtype(_C_TYPES[" ".join(words)])
        if not name.startswith("*"):
            assert isinstance(value, dtype.type), (declaration, type(value))
            return ctypes.c_longlong(value) if dtype.kind == "i" else ctypes.c_double(value)
        is_pairs = value.dtype.kind == "c"
        assert value.dtype == (np.result_type(dtype, np.complex64) if is_pairs else dtype), (declaration, value.dtype)
        assert value.flags.c_contiguous, declaration
        return ctypes.c_void_p(value.ctypes.data)
