"""`python -m selflabel`."""

from selflabel.cli import main

if __name__ == "__main__":
    main()
