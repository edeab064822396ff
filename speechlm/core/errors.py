"""The one exception for what a user can get wrong."""


class UserError(ValueError):
    """A user's mistake, told in one line: what (file:line), which rule, and what to do.

    The commands of `speechlm.bin` print the line and exit 1 without a stack trace. Anything else that is raised is a
    fault of ours and keeps its trace.
    """
