"""Lets `python -m convert_weights` do what the command `convert-weights` does."""

import sys

from convert_weights.cli import main

sys.exit(main())
