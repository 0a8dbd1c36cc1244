"""L5: the command line. One small module per command; nothing heavy is imported before a command runs."""


def main() -> None:
    """Entry point of `isthmus`."""
    from isthmus.cli.app import main as run

    run()
