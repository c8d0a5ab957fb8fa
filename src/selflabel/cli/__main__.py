"""`python -m selflabel.cli`, which torchrun starts."""

from selflabel.cli import main

if __name__ == "__main__":
    main()
