"""python -m libgru.convert: the command gru-convert."""
from libgru.convert.cli import main

raise SystemExit(main())
