"""Files appear whole or not at all."""

from __future__ import annotations

import os
import re
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from tempfile import gettempdir, mkdtemp
from typing import IO, TypeVar

from plausibly.errors import UserError

try:
    import fcntl
except ImportError:  # not on Windows
    fcntl = None  # type: ignore[assignment]


def lock(descriptor: int) -> bool:
    """Takes the lock of an open file or folder, which closing it gives back; False where another process has it."""
    if fcntl is None:
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def is_there(descriptor: int, path: Path) -> bool:
    """True where `path` still leads to the open file or folder."""
    try:
        return os.path.samestat(os.fstat(descriptor), os.lstat(path))
    except FileNotFoundError:
        return False


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Gives a path to write to; on leaving it becomes `path` in one step, on any error nothing is left behind.

    An OSError (full disk, no permission) becomes a UserError that names the path, and so does a `path` that is
    there and is no file: a folder, a link, a device.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        before = _mode(path)
        with _draft_folder(path.parent) as folder:
            draft = folder / path.name
            draft.touch()
            # some writers make files that only their owner can read
            mode = before or draft.stat().st_mode
            yield draft
            _put_in_place(draft, path, mode)
    except OSError as error:
        raise UserError(
            f"cannot write {path}: {error.strerror or error}; nothing was changed there"
        ) from error


def _put_in_place(draft: Path, path: Path, mode: int) -> None:
    """Makes a draft that is on the disk the file at a path."""
    draft.chmod(stat.S_IMODE(mode))
    with open(draft, "rb+") as written:
        os.fsync(written.fileno())
    os.replace(draft, path)


@contextmanager
def delivering_file(path: Path) -> Iterator[Path]:
    """`replacing` for a destination that the user named: a link leads to what is replaced, a device or a pipe is streamed
    into."""
    if is_stream(path):
        with _streaming(path) as draft:
            yield draft
        return
    with replacing(resolve_links(path)) as draft:
        yield draft


def resolve_links(path: Path) -> Path:
    """The path that links lead to. UserError for links that lead round in a ring."""
    try:
        return path.resolve()
    except (OSError, RuntimeError) as error:
        raise UserError(f"cannot write {path}: it is a link that leads nowhere") from error


def refuse_same(out: Path | str, data: object) -> None:
    """UserError where what is to be written would take the place of what is read."""
    both = [Path(out), Path(data)] if isinstance(data, str | Path) else []
    if both and all(map(Path.is_file, both)) and both[0].samefile(both[1]):
        raise UserError(f"{out} is what is to be read; give what is written another name")


def refuse_streams(path: Path) -> None:
    """UserError for a pipe, a device or a socket, which may have no end and can be read once only."""
    if path.is_fifo():
        raise UserError(
            f"{path} is a pipe, which gives its bytes once, and what is read must be found again: "
            "write them to a file, and name that"
        )
    if is_stream(path):
        raise UserError(f"{path} is a device or a socket, and a file is needed")


def refuse_name(path: Path) -> None:
    """UserError for a path that is no UTF-8, which not all that write tensors and columns can open."""
    try:
        str(path).encode()
    except UnicodeEncodeError as error:
        raise UserError(f"{path}: a name in UTF-8 is needed here") from error


def is_stream(path: Path) -> bool:
    """True where the path takes bytes as they come: a device, a pipe, a socket."""
    try:
        mode = path.stat().st_mode
    except (OSError, RuntimeError):  # a link that leads round in a ring, among others
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


@contextmanager
def _streaming(path: Path) -> Iterator[Path]:
    try:
        with _draft_folder(Path(gettempdir())) as folder:
            yield folder / path.name
            with open(folder / path.name, "rb") as draft, open(path, "wb") as stream:
                shutil.copyfileobj(draft, stream)
    except OSError as error:
        raise UserError(f"cannot write to {path}: {error.strerror or error}") from error


def _mode(path: Path) -> int:
    """The mode of the file that is replaced, or 0. OSError where there is something, and no file."""
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return 0
    if not stat.S_ISREG(mode):
        raise OSError(f"it is there, and is {'a link' if stat.S_ISLNK(mode) else 'no file'}")
    return mode


@contextmanager
def _draft_folder(beside: Path) -> Iterator[Path]:
    """A folder for a draft, of this process alone; those of processes that are gone are swept away."""
    sweep_drafts(beside.absolute())
    while True:
        folder = Path(mkdtemp(prefix=".plausibly-", suffix=".draft", dir=beside))
        descriptor = os.open(folder, os.O_RDONLY)
        if lock(descriptor) and is_there(
            descriptor, folder
        ):  # else it was swept before it was locked
            break
        os.close(descriptor)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(descriptor)


def is_draft(path: Path) -> bool:
    """True where the name is that of a draft."""
    return re.fullmatch(r"\.plausibly-\w+\.draft", path.name) is not None


@lru_cache(1024)  # once a process
def sweep_drafts(folder: Path) -> None:
    """Removes the drafts in a folder whose processes were killed."""
    if fcntl is None:  # nobody could tell
        return
    for draft in folder.iterdir():
        if is_draft(draft) and draft.is_dir() and not draft.is_symlink():
            with suppress(OSError):
                _sweep(draft)


def _sweep(draft: Path) -> None:
    descriptor = os.open(draft, os.O_RDONLY)
    if lock(descriptor):
        shutil.rmtree(draft, ignore_errors=True)
    os.close(descriptor)


@contextmanager
def open_within(path: Path, mode: str) -> Iterator[IO[str]]:
    """Opens a text file of a run to write it as it grows.

    UserError for a link, which could lead anywhere, and for a full disk.
    """

    def without_links(name: str, flags: int) -> int:
        return os.open(name, flags | getattr(os, "O_NOFOLLOW", 0), 0o666)

    try:
        with open(path, mode, encoding="utf-8", opener=without_links) as file:
            yield file
    except OSError as error:
        if error.filename is not None and Path(error.filename) != path:
            raise
        raise UserError(f"cannot write {path}: {error.strerror or error}") from error


T = TypeVar("T")


def stat_file(path: Path) -> tuple[int, ...] | None:
    """Size, times and inode of a file: whoever writes to it, or puts another in its place, changes one. None without it."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino


def suffix_of(path: Path | str) -> str:
    """The suffix without the dot, in lower case, the one before `.gz` where there is one."""
    name = Path(path).name.lower().removesuffix(".gz")
    return name.rpartition(".")[2] if "." in name else ""


def writer_for(path: Path, writers: dict[str, T]) -> T:
    """The writer of the path's suffix. UserError lists what can be written."""
    if suffix_of(path) not in writers:
        raise UserError(f"cannot write {path.name}: these rows go to .{', .'.join(writers)}")
    return writers[suffix_of(path)]
