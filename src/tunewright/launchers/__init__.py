"""Launchers: ``main`` of the ``hpo_main.py`` scripts, one module per backend.

Importing any of them, which the command line does as well, settles how many threads NumPy uses in this process.
"""

from __future__ import annotations

from tunewright.threads import use_one_thread

use_one_thread()  # read when BLAS is loaded, which the import of a launcher does
