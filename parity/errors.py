"""The error tree. Every error says what is wrong, where, and what to do next."""

from __future__ import annotations

__all__ = [
    "AlignmentError",
    "BackendError",
    "CandidateCrashedError",
    "CaptureFileError",
    "ConfigError",
    "InputError",
    "MissingExtraError",
    "NoiseTapeError",
    "ParityError",
]


class ParityError(Exception):
    """The call or one of its inputs is unusable; the command line exits with status 2.

    A mismatch between reference and candidate is a result, never an exception.

    Args:
        what: one sentence that says what is wrong.
        where: the file, tap or configuration key it was found at.
        hint: what to do or run next.
    """

    exit_status = 2

    def __init__(self, what: str, *, where: str | None = None, hint: str | None = None) -> None:
        super().__init__(what, where, hint)
        self.what = what
        self.where = where
        self.hint = hint

    def __str__(self) -> str:
        head = f"{self.where}: {self.what}" if self.where else self.what
        return f"{head}\n  try: {self.hint}" if self.hint else head

    def __reduce__(self) -> tuple[object, ...]:
        # The default would call __init__ with positional arguments, which it does not take.
        return (_rebuild, (type(self), self.what, self.where, self.hint))


def _rebuild(
    kind: type[ParityError], what: str, where: str | None, hint: str | None
) -> ParityError:
    return kind(what, where=where, hint=hint)


class CaptureFileError(ParityError):
    """A capture file cannot be read: missing, not HDF5, truncated, of another version, hostile."""


class ConfigError(ParityError):
    """`parity.toml` or an option holds something we cannot use."""


class InputError(ParityError):
    """An argument or a file of the user's cannot be used."""

    @classmethod
    def unwritable(cls, path: object, error: OSError) -> InputError:
        """The error for a file or folder that cannot be made: read-only, full, in the way."""
        return cls(
            f"cannot be written: {error.strerror or error}",
            where=str(path),
            hint="check that its folder can be made and written, and that the disk has room",
        )


class AlignmentError(ParityError):
    """Reference and candidate taps cannot be brought together without guessing."""


class BackendError(ParityError):
    """A backend is unknown, cannot be loaded, or broke its contract."""


class CandidateCrashedError(BackendError):
    """The candidate's process died, hung or ran out of memory; what it had recorded is kept."""


class NoiseTapeError(ParityError):
    """A noise tape does not fit the run that should replay it."""


class MissingExtraError(ParityError):
    """An optional dependency is not installed."""

    @classmethod
    def of(cls, extra: str, *, needed_for: str) -> MissingExtraError:
        """The error for a missing `pip install parity[extra]`."""
        return cls(
            f"{needed_for} needs the optional dependency group {extra!r}",
            hint=f"pip install 'parity[{extra}]'",
        )
