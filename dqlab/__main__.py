"""`python -m dqlab`: the command."""

import sys

from dqlab.cli import main

sys.exit(main())
