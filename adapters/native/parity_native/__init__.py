"""The backend `native`: candidates behind the C ABI of `parity_candidate.h`."""

from parity.backends import Adapter

__all__ = ["ADAPTER"]

ADAPTER = Adapter(
    name="native",
    summary="a shared library with the C ABI of parity_candidate.h: Rust, C, C++, Swift, Zig ...",
    factory="parity_native.backend:NativeBackend",
    options={
        "library": "the shared library (.so, .dylib, .dll)",
        "isolate": "load it in a process of its own (default: true), so that it cannot take this "
        "one along; false saves the hand-over of tensors",
        "timeout_s": "wall time after which a run is ended (default: none)",
        "memory_limit_mb": "most private memory of its process, in MiB (default: none)",
        "max_bytes": "largest tensor to believe in (default: 16 GiB)",
        "...": "any further option is passed to the candidate, as its configuration",
    },
    open_options=True,
)
