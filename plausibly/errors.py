"""What a person, not we, can mend. Messages may hold names from data, which are shown so that they steer no terminal."""

from plausibly.printing import visible_lines


class UserError(ValueError):
    """What is wrong, where, and what would have worked, in one line. The command line exits with 2."""

    def __str__(self) -> str:
        return visible_lines(super().__str__())


class BrokenPromises(UserError):
    """A user's model does not keep the contract; `lines` say what is broken, a line for each promise."""

    def __init__(self, lines: list[str]) -> None:
        super().__init__("; ".join(lines))
        self.lines = lines


class Unsupported(TypeError):
    """A task asked of a model whose type cannot do it; the message says why."""

    def __str__(self) -> str:
        return visible_lines(super().__str__())
