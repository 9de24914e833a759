"""bitsandbytes with its PyTorch kernels on the CPU: import this before bitsandbytes.

Its CPU build brings C++ kernels of its own: the one for 8-bit blocks rounds values to 16 bits before it looks for the
nearest code, and the AVX-512 one that dequantises takes a wrong absmax where a row is not whole blocks. References are
made with the PyTorch kernels, which agree with the CUDA ones.
"""
import torch

_register_kernel = torch.library.register_kernel


def _without_cpu(name, backend, *arguments, **options):
    if name.startswith("bitsandbytes::") and backend == "cpu":
        return lambda function: function
    return _register_kernel(name, backend, *arguments, **options)


torch.library.register_kernel = _without_cpu
import bitsandbytes  # noqa: E402, F401

torch.library.register_kernel = _register_kernel
