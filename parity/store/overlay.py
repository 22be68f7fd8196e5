"""Changes to a file, held in memory page by page until they may be applied."""

from __future__ import annotations

from collections.abc import Iterator

__all__ = ["PAGE", "PageOverlay", "round_up"]

PAGE = 4096


def round_up(position: int) -> int:
    """The first page border at or after `position`."""
    return -(-position // PAGE) * PAGE


class PageOverlay:
    """Pages that differ from those of the file beneath."""

    def __init__(self) -> None:
        self._pages: dict[int, bytearray] = {}

    def __bool__(self) -> bool:
        return bool(self._pages)

    def put(self, position: int, data: memoryview, beneath: bytes) -> None:
        """Lay `data` over the file at `position`.

        Args:
            position: first byte of `data` in the file.
            data: the bytes to lay over, shape `(n,)`.
            beneath: what the file holds from the page border at or before `position`, to the page
                border after the data or to the end of the file.
        """
        first = position // PAGE
        for number in range(first, round_up(position + len(data)) // PAGE):
            if number not in self._pages:
                page = beneath[(number - first) * PAGE :][:PAGE]
                self._pages[number] = bytearray(page.ljust(PAGE, b"\0"))
        self.refresh(position, data)

    def refresh(self, position: int, data: memoryview) -> None:
        """Bring the held pages up to date with `data`, which goes to the file at `position`."""
        end = position + len(data)
        for number in range(position // PAGE, round_up(end) // PAGE):
            if number in self._pages:
                start, stop = max(position, number * PAGE), min(end, (number + 1) * PAGE)
                self._pages[number][start - number * PAGE : stop - number * PAGE] = data[
                    start - position : stop - position
                ]

    def patch(self, position: int, buffer: memoryview) -> None:
        """Bring `buffer`, which holds the file's bytes from `position`, up to date in place."""
        end = position + len(buffer)
        for number in range(position // PAGE, round_up(end) // PAGE):
            if number in self._pages:
                start, stop = max(position, number * PAGE), min(end, (number + 1) * PAGE)
                buffer[start - position : stop - position] = self._pages[number][
                    start - number * PAGE : stop - number * PAGE
                ]

    def extents(self) -> Iterator[tuple[int, bytes]]:
        """The changed bytes as (position, bytes), ascending, neighbouring pages joined."""
        run: list[int] = []
        for number in sorted(self._pages):
            if run and number != run[-1] + 1:
                yield run[0] * PAGE, self._joined(run)
                run = []
            run.append(number)
        if run:
            yield run[0] * PAGE, self._joined(run)

    def _joined(self, run: list[int]) -> bytes:
        return b"".join(self._pages[number] for number in run)

    def clear(self) -> None:
        """Forget all changes."""
        self._pages.clear()
