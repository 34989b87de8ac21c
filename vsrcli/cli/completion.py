"""What a shell offers when it completes a command line of vsr."""

from __future__ import annotations

from click.shell_completion import CompletionItem

_FILES = ("FILE", "FILE.png", "FILE.html", "PATH", "CHECKPOINT", "MODEL")
_FOLDERS = ("DIR",)


def suggested(
    words: tuple[str, ...], incomplete: str, *, is_list: bool
) -> list[CompletionItem]:
    """The words that begin with what is typed.

    Args:
        words: to choose from.
        incomplete: what is typed.
        is_list: whether commas separate several, of which the last is completed.
    """
    done, comma, last = incomplete.rpartition(",") if is_list else ("", "", incomplete)
    begun = done.split(",")
    return [
        CompletionItem(done + comma + word)
        for word in words
        if word.startswith(last) and word not in begun
    ]


def suggested_files(metavar: str | None, incomplete: str) -> list[CompletionItem]:
    """The mark that lets the shell complete names of files or folders, where one is wanted."""
    if metavar in _FILES:
        return [CompletionItem(incomplete, type="file")]
    if metavar in _FOLDERS:
        return [CompletionItem(incomplete, type="dir")]
    return []
