"""A limit for what an input may expand to, so that a small file cannot fill the memory."""
from dataclasses import dataclass
from pathlib import Path

from libgru.convert.refused import Refused

MIB = 1 << 20
SMALLEST, TIMES = 64 * MIB, 20


@dataclass
class Budget:
    """Bytes that may still be read. Every reader asks before it allocates."""
    limit: int
    used: int = 0

    @staticmethod
    def for_file(path: Path, limit: int | None) -> "Budget":
        """The given limit; by default 64 MiB or 20 times the file, whichever is more."""
        return Budget(max(SMALLEST, TIMES * path.stat().st_size) if limit is None else limit)

    def take(self, size: int, what: str) -> None:
        """Refuses a size that is below zero or above what is left."""
        if size < 0 or self.used + size > self.limit:
            raise Refused(f"{what} takes {size} bytes, and the input may expand to {self.limit} bytes in all: "
                          "raise that with --limit if you trust the file")
        self.used += size
