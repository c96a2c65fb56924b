"""The command: ``dqlab master | worker | status | crawl ...``.

Begin with `command`. Each sub-command loads what it needs only when it is asked for.
"""

__all__ = ["main"]


def main() -> int:
    """Run one command and return its exit code; Ctrl-C ends it without a traceback while it is loaded, too."""
    try:
        from dqlab.cli import command

        return command.main()
    except KeyboardInterrupt:
        return 130
