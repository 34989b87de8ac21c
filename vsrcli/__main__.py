"""``python -m vsrcli``: the command ``vsr``, where its script is not on the path."""

from vsrcli.cli import main

if __name__ == "__main__":
    main()
