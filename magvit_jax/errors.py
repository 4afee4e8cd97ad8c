"""The one exception that a user's mistake raises."""


class UserError(ValueError):
    """Bad input from a user: one line that names the file or value and what was expected.

    The command line prints it without a traceback and exits with status 2.
    """
