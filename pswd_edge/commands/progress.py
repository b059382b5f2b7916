"""Progress of long work: a bar with the time left on a terminal, plain lines elsewhere. On standard error."""

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar


class Progress:
    """`quiet` says nothing at all."""

    def __init__(self, name: str, *, quiet: bool = False) -> None:
        self._name, self._quiet = name, quiet
        self._console = Console(stderr=True)
        self._bar = Bar(TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(),
                        console=self._console, disable=quiet or not self._console.is_terminal)

    @contextmanager
    def over(self, steps: int) -> Iterator[None]:
        """While so many steps are done."""
        self._task = self._bar.add_task(self._name, total=steps)
        with self._bar:
            yield

    def step(self) -> None:
        """One step is done."""
        self._bar.advance(self._task)

    def note(self, text: str) -> None:
        """What is under way: shown beside the bar only."""
        self._bar.update(self._task, description=f"{self._name} {text}")

    def say(self, text: str) -> None:
        """A line that stays."""
        if not self._quiet:
            self._console.print(text, soft_wrap=True, highlight=False, markup=False)
