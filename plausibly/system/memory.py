"""The memory that this process has held and can still get, and the refusal of files that swell beyond it."""

from __future__ import annotations

import math
import os
import re
import sys
from contextlib import suppress
from pathlib import Path

from plausibly.errors import UserError

try:
    import resource
except ImportError:  # not on Windows
    resource = None  # type: ignore[assignment]

MAX_UNDOUBTED_BYTES = 512 << 20  # bytes that any file may unpack to
# times its size that a larger file may unpack to: sparse rows come to 750, and deflate's bombs to 1,030
MAX_SWELLING = 800
MIN_ADDRESS_BYTES = (
    1_500_000_000  # that may be mapped; with fewer, libraries end the process as they are loaded
)
CONTROL_GROUPS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


def refuse_swelling(name: object, packed_bytes: int, unpacked_bytes: int, advice: str) -> None:
    """UserError where a file of so many bytes unpacks to more than any data do, or to more than memory can hold.

    name: of the file, or of what is packed in it. unpacked_bytes: what the file claims, or has come to so far. advice:
    what would have worked, the end of the line.
    """
    refuse_bomb(name, packed_bytes, unpacked_bytes, advice)
    if unpacked_bytes > (free := available_memory()):
        sizes = _describe_swelling(name, packed_bytes, unpacked_bytes)
        raise UserError(f"{sizes}, and {format_bytes(int(free))} of memory are free; {advice}")


def refuse_bomb(name: object, packed_bytes: int, unpacked_bytes: int, advice: str) -> None:
    """UserError where a file, which is read a piece at a time, unpacks to more than any data do; as above."""
    if unpacked_bytes > max(MAX_UNDOUBTED_BYTES, MAX_SWELLING * packed_bytes):
        sizes = _describe_swelling(name, packed_bytes, unpacked_bytes)
        raise UserError(f"{sizes}, as no data do; {advice}")


def _describe_swelling(name: object, packed_bytes: int, unpacked_bytes: int) -> str:
    packed, unpacked = format_bytes(packed_bytes), format_bytes(unpacked_bytes)
    return f"{name}: {packed} unpack to {unpacked} or more"


def available_memory() -> float:
    """The bytes that this process can still get: of the machine, of its control group and by its own limit.

    Infinite where the system tells none of these.
    """
    held = _read_number("/proc/self/status", r"VmRSS:\s+(\d+) kB", 0) * 1024
    mapped = _read_number("/proc/self/status", r"VmSize:\s+(\d+) kB", 0) * 1024
    machine = _read_number("/proc/meminfo", r"MemAvailable:\s+(\d+) kB", math.inf) * 1024
    groups = [_read_number(file, r"(\d+)", math.inf) - held for file in CONTROL_GROUPS]
    return max(0.0, min(machine, _address_limit() - mapped, *groups))


def _read_number(file: str, pattern: str, otherwise: float) -> float:
    """The number that the system tells in a file."""
    with suppress(OSError):
        if found := re.search(pattern, Path(file).read_text(encoding="utf-8")):
            return int(found[1])
    return otherwise


def _address_limit() -> float:
    """The bytes that may be mapped, as `ulimit -v` says; infinite where it sets no limit."""
    limit = resource.getrlimit(resource.RLIMIT_AS)[0] if resource else -1
    return limit if limit >= 0 else math.inf


def spare_addresses() -> None:
    """Under `ulimit -v`, has Arrow reserve no addresses. UserError where these do not suffice to load what is needed."""
    limit = _address_limit()
    if limit < MIN_ADDRESS_BYTES:
        needed = format_bytes(MIN_ADDRESS_BYTES)
        raise UserError(f"{describe_limit()}, and plausibly needs {needed} to begin with")
    if math.isfinite(limit):
        os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")  # the usual one reserves 1 GiB


def describe_limit() -> str:
    """Says how much memory `ulimit -v` lets this process map; nothing where it does not say."""
    limit = _address_limit()
    return f"`ulimit -v` allows {format_bytes(int(limit))}" if math.isfinite(limit) else ""


def peak_memory() -> int:
    """The most memory that this process has held so far, in bytes; 0 where the system does not tell."""
    if resource is None:
        return 0
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def format_bytes(amount: int) -> str:
    """Bytes as one reads them."""
    if amount < 1e6:
        return f"{amount / 1e3:,.0f} kB"
    return f"{amount / 1e6:,.0f} MB" if amount < 1e9 else f"{amount / 1e9:.1f} GB"
