"""The backend `files`: tensors that anything dumped into a folder."""

from parity.backends import Adapter

__all__ = ["ADAPTER"]

ADAPTER = Adapter(
    name="files",
    summary="a folder of .npy, .npz and .safetensors files, dumped by anything",
    factory="parity_files.backend:FilesBackend",
    options={
        "folder": "the folder to read, sub-folders included; or one .npz or .safetensors file",
        "pattern": "regular expression over a tensor's name, with groups among path, role, slot, "
        "phase, call, step",
        "container": "the same over the name of a .npz or .safetensors file",
        "ignore": "glob or globs over file names to leave out",
        "order": "execution order: `name` (natural sort), `time` (of the files), `stored` (the "
        "default of one .npz), or a file that lists names or paths, one a line",
        "role": "role of tensors whose name says none (default: output)",
        "layout": "rules that rename, reinterpret, reshape or permute tensors: a TOML file, or "
        "a table with the lists `rename`, `view`, `reshape`, `permute`",
        "max_bytes": "largest tensor to read (default: 16 GiB)",
    },
)
