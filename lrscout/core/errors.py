"""Everything that lrscout raises on purpose.

    LrscoutError
    ├── InvalidValueError (ValueError)         an argument that no run could use
    ├── EmptyDataError (ValueError)            data without a single batch
    ├── LossError (TypeError)                  a loss that is not one real number
    ├── UnsupportedLoopError (TypeError)       a loop that could not be stepped, or not be brought home
    ├── FleetUnavailableError (TypeError)      a loop that cannot be vectorized
    ├── LandscapeUnavailableError (TypeError)  a loop whose loss cannot be differentiated
    ├── LogError (ValueError)                  a log file that cannot be read as the log of a run
    ├── MissingDependencyError (ImportError)   a framework that is not installed
    ├── TargetError (LookupError)              a TARGET that leads to no loop
    ├── RunnerError (RuntimeError)             machines that did not do their work
    └── StoreError (OSError)                   a store that cannot be read or written

Each is also the builtin error that a caller would expect, so `except ValueError` works without knowing lrscout.
"""


class LrscoutError(Exception):
    """The root of every error that lrscout raises on purpose."""


class InvalidValueError(LrscoutError, ValueError):
    """An argument has a value that no run could use."""


class EmptyDataError(LrscoutError, ValueError):
    """The data did not yield a single batch."""


class LossError(LrscoutError, TypeError):
    """A loss function returned something other than one real number."""


class UnsupportedLoopError(LrscoutError, TypeError):
    """A loop cannot be stepped at a chosen learning rate, or cannot be brought home bit for bit."""


class FleetUnavailableError(LrscoutError, TypeError):
    """A loop cannot be stepped at many learning rates at once."""


class LandscapeUnavailableError(LrscoutError, TypeError):
    """The loss of a loop cannot be differentiated, or its optimizer cannot be asked what it would do."""


class LogError(LrscoutError, ValueError):
    """A log file cannot be read, or does not hold the log of a training run."""


class MissingDependencyError(LrscoutError, ImportError):
    """A library that the call needs is not installed."""


class TargetError(LrscoutError, LookupError):
    """A TARGET does not lead to a loop."""


class RunnerError(LrscoutError, RuntimeError):
    """The machines that should have done the work did not."""


class StoreError(LrscoutError, OSError):
    """A store cannot be opened, read or written."""


class NoStoreError(StoreError):
    """A store that was to be opened has not been made yet."""
