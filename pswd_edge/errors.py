"""Every error that pswd-edge raises on purpose, as one tree. The class says what to do next.

    PswdError
      ConfigError            stop: the configuration is wrong; every mistake is in the text
      ImageError             the process image cannot be used
        ImageMismatchError   reload the site: the image belongs to another compiled site
        TornReadError        read again: the writer was faster than every retry
      DeviceError            a device did not do what was asked
        UnreachableError     retry with back-off: nothing answers there
        SilentError          skip the rest of this unit's scan: no answer in time
        RefusedError         tell the operator: the device answered with an exception
        DecodeError          mark the points BAD and go on: the answer makes no sense
        WriteError           tell the operator: a value cannot be written to this point
      DoorError              the command socket failed; the command was not taken
      SecretError            a credential cannot be read

Commands that are refused are no errors: `model.command.Outcome` carries them as data.
"""


class PswdError(Exception):
    """Root of the tree."""


class ConfigError(PswdError):
    """The configuration is wrong; `problems` holds one line per mistake."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class ImageError(PswdError):
    """The process image cannot be used."""


class ImageMismatchError(ImageError):
    """The image belongs to another compiled site."""


class TornReadError(ImageError):
    """Every retry met a writer."""


class DeviceError(PswdError):
    """A device did not do what was asked."""


class UnreachableError(DeviceError):
    """Nothing answers at the address."""


class SilentError(DeviceError):
    """No answer in time."""


class RefusedError(DeviceError):
    """The device answered with an exception; `code` is the protocol's own number or name."""

    def __init__(self, message: str, code: int | str) -> None:
        super().__init__(message)
        self.code = code


class DecodeError(DeviceError):
    """The answer makes no sense."""


class WriteError(DeviceError):
    """A value cannot be written to this point."""


class DoorError(PswdError):
    """The command socket failed."""


class SecretError(PswdError):
    """A credential cannot be read."""
