"""The one error that means "the input is wrong", as opposed to a fault of ours."""


class InputError(ValueError):
    """A file, a setting or an argument that cannot be used as it is.

    The message names the thing and the remedy; binaries print it without a traceback.
    """
