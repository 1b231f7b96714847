"""`python -m rnn2vec`."""

import sys

from rnn2vec.cli import main

if __name__ == "__main__":
    sys.exit(main())
