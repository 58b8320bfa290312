"""Files of forms that are not read, and the line that makes one of a form that is."""

from __future__ import annotations

from pathlib import Path

from plausibly.data.files.tables import TABLE_SUFFIXES
from plausibly.system.files import suffix_of

READERS = {
    **dict.fromkeys(("xls", "xlsx", "xlsm", "xlsb", "ods"), "read_excel({!r})"),
    "json": "read_json({!r})",
    **dict.fromkeys(("jsonl", "ndjson"), "read_json({!r}, lines=True)"),
    "dta": "read_stata({!r})",
    **dict.fromkeys(("sav", "zsav"), "read_spss({!r})"),
    **dict.fromkeys(("sas7bdat", "xpt"), "read_sas({!r})"),
    **dict.fromkeys(("h5", "hdf", "hdf5"), "read_hdf({!r})"),
    "orc": "read_orc({!r})",
    "xml": "read_xml({!r})",
    **dict.fromkeys(("html", "htm"), "read_html({!r})[0]"),
    **dict.fromkeys(
        ("db", "sqlite", "sqlite3"),
        "read_sql('SELECT * FROM TABLE', __import__('sqlite3').connect({!r}))",
    ),
}  # of pandas, by suffix
PICKLES = ("pkl", "pickle", "joblib")
ARCHIVES = ("zip", "tar", "tgz", "7z", "rar", "bz2", "xz", "zst")
MARKS = {
    b"PAR1": "parquet",
    b"ARROW1": "arrow",
    b"\x93NUMPY": "npy",
    b"PK\x03\x04": "npz, .xlsx or .zip",
    b"\xd0\xcf\x11\xe0": "xls",
    b"\x89HDF": "h5",
    b"SQLite format 3": "sqlite",
    b"\x80\x04\x95": "pkl",
    b"\x80\x05\x95": "pkl",
    b"7z\xbc\xaf": "7z",
    b"BZh": "bz2",
    b"\xfd7zXZ": "xz",
    b"\x28\xb5\x2f\xfd": "zst",
    b"%PDF": "pdf",
    b"\x89PNG": "png",
}  # the first bytes of a file, and the suffixes that go with them
MARK_BYTES = max(map(len, MARKS))


def describe_conversion(path: Path) -> str | None:
    """Says how the table in a file becomes one that is read; None where no way is known."""
    name, suffix = str(path), suffix_of(path)
    if suffix in READERS:
        reader = f"pandas.{READERS[suffix].format(name)}"
        return f"{reader}.to_csv({f'{path.stem}.csv'!r}, index=False) makes a table of it"
    if suffix in PICKLES:
        return (
            "a pickle runs code when it is opened; where you trust it, "
            f"pandas.read_pickle({name!r}).to_parquet({f'{path.stem}.parquet'!r}) makes a table of it"
        )
    if suffix in ("rds", "rda", "rdata"):
        return f"in R, write.csv(readRDS({name!r}), {f'{path.stem}.csv'!r}, row.names = FALSE) makes a table of it"
    if suffix == "mat":
        return f"numpy.save({f'{path.stem}.npy'!r}, scipy.io.loadmat({name!r})['NAME']) makes an array of it"
    if suffix in ("pt", "pth"):
        return f"numpy.save({f'{path.stem}.npy'!r}, torch.load({name!r}, weights_only=True).numpy()) makes an array of it"
    if suffix in ARCHIVES:
        return "unpack it, and name the file that it holds"
    form = find_form(path)
    return f"its first bytes are those of .{form}: name it so" if form else None


def find_form(path: Path) -> str | None:
    """The suffixes of the form that a file's first bytes show; None where they show none, or cannot be read."""
    try:
        with open(path, "rb") as file:
            start = file.read(MARK_BYTES)
    except OSError:
        return None
    return next((form for mark, form in MARKS.items() if start.startswith(mark)), None)


def describe_tables(folder: Path) -> str | None:
    """Says what to do with a folder of tables; None where it holds none."""
    found = sorted(file for file in folder.iterdir() if suffix_of(file) in TABLE_SUFFIXES)
    if not found:
        return None
    suffix = suffix_of(found[0])
    kind = {"parquet": "parquet", "arrow": "feather", "feather": "feather"}.get(suffix, "csv")
    read = (
        f"pandas.concat(map(pandas.read_{kind}, pathlib.Path({str(folder)!r}).glob('*.{suffix}')))"
    )
    out = f"{folder.name}.{suffix}"
    write = f"to_csv({out!r}, index=False)" if kind == "csv" else f"to_{kind}({out!r})"
    return f"name one of its tables, such as {found[0]}; or, if they have the same columns, {read}.{write} makes one of them"
