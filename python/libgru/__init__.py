"""libgru for Python. Today: the converter of other programs' weights, libgru.convert."""
