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
        "order": "execution order: `name` (natural sort, default), `time` (of the files), or a "
        "file that lists names, one a line",
        "role": "role of tensors whose name says none (default: output)",
        "layout": "rules that rename, permute or reinterpret tensors: a TOML file, or a table "
        "with the lists `rename`, `permute`, `view`",
        "max_bytes": "largest tensor to read (default: 16 GiB)",
    },
)
