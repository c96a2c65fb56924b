"""`python -m dqlab`: the command."""

import sys

from dqlab.cli.command import main

sys.exit(main())
