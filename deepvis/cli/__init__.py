"""The command line: subcommands, Hydra's main and its plugins, and errors as one line."""
