"""The sub-commands of `pswd-edge`: each module has `add_arguments(parser)` and `run(options) -> exit status`."""
