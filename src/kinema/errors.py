"""The errors a user can cause. Each message is one line: the file, what is wrong, what would be right."""


class KinemaError(Exception):
    """A mistake that the user can mend. The command prints its one line and exits with 2."""


class FileError(KinemaError):
    """A file is missing, damaged, too large, or not of a format that Kinema reads."""


class ClipError(KinemaError):
    """A clip cannot be used for what was asked: its size, its length or its values do not fit."""


class ConfigError(KinemaError):
    """A recipe or an option holds an unknown key or a value of the wrong kind."""


class RunError(KinemaError):
    """A run directory is damaged, of another family, or holds another run."""
