"""The two things that a person, not we, can mend."""


class UserError(ValueError):
    """What is wrong, where, and what would have worked, in one line. The command line exits with 2."""


class Unsupported(TypeError):
    """A task asked of a model whose type cannot do it; the message says why."""
