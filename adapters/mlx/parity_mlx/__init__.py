"""The backend `mlx`: MLX modules, recorded in place; `tapping` does it within `parity.record`."""

from typing import TYPE_CHECKING, Any

from parity.backends import Adapter

if TYPE_CHECKING:
    from parity_mlx.in_place import tapping

__all__ = ["ADAPTER", "tapping"]

ADAPTER = Adapter(
    name="mlx",
    summary="an MLX model, its modules' calls recorded, channels brought to where torch has them",
    factory="parity_mlx.backend:MlxBackend",
    requires=("mlx",),
    install="pip install 'parity[mlx]'",
    options={
        "program": "`module:attribute`: an mlx.nn.Module, an object with a method run(case), or a "
        "callable that takes the options and returns either",
        "python_path": "folder or folders to look for it in",
        "prefix": "what the reference calls the model (`decoder`), where it has a name there",
        "channels": "`auto` (the default): results of convolutions, poolings and their norms, and "
        "of activations behind them, are brought from channels last to channels first; `keep`: "
        "nothing is moved; or globs over paths whose results are moved",
        "inputs": "by name of an array of the case, the order of its axes that the model takes",
        "...": "any further option is passed to the program",
    },
    open_options=True,
)


def __getattr__(name: str) -> Any:
    if name == "tapping":  # it loads mlx
        from parity_mlx.in_place import tapping  # noqa: PLC0415

        return tapping
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
