"""The entry point: ``python -m deepvis.run`` and ``deepvis``."""

from deepvis.cli.main import main

if __name__ == "__main__":
    main()
