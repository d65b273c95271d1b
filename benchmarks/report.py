"""What benchmarks printed, as one page: the ratios that matter, plots over the size, then all outputs.

Called by `benchmarks.run`. A figure is found by its table's headings; what is not found is left out, so that
this page can't tell something else than its outputs do.
"""

import platform
from collections.abc import Iterator, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from benchmarks import measure
from clipsight.indexing.autotune import processor_name

LEFT_OUT, FAILED = "(left out)", "(failed)"

_PACKAGES = ("clipsight", "onnxruntime", "faiss-cpu", "numpy", "pillow", "pi-heif", "torch", "scikit-learn")
Row = dict[str, str]


def write(names: Sequence[str], outputs: Path, page: Path) -> Path:
    """Write the page, and its plots beside it, from the outputs there are; the page."""
    kept = {
        name: (outputs / f"{name}.txt").read_text() for name in names if (outputs / f"{name}.txt").exists()
    }
    tables = {name: _tables(text) for name, text in kept.items()}
    plots = [plot.relative_to(page.parent) for plot in draw(tables, page.parent / "plots")]
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in _PACKAGES if _installed(name))
    lines = [
        "# Results",
        "",
        "Written by `python -m benchmarks.run WORK --data DATA`; what each benchmark does, and how, is said",
        "at the top of its file. The first line of an output tells the machine's load when it began.",
        "",
        f"{processor_name()}, {measure.cores()} cores, {_memory()}; {platform.platform()};",
        f"Python {platform.python_version()}, {versions}.",
        "",
        "## Beside peers and limits",
        "",
        "The ratio is clipsight's figure by the other's.",
        "",
        *_table(("what", "clipsight", "beside", "ratio"), list(ratios(tables))),
        "",
        *(f"![{plot.stem}]({plot.as_posix()})" for plot in plots),
    ]
    for name, text in kept.items():
        lines += ["", f"## {name}", "", *_section(text)]
    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text("\n".join(lines) + "\n")
    return page


def ratios(tables: dict[str, list[list[Row]]]) -> Iterator[tuple[str, str, str, str]]:
    """Rows of the first table: what was measured, clipsight's figure, the other's, and the ratio."""
    for row in _rows(tables, "one_shot", "clipsight s"):
        yield _ratio(f"one search, {row['photos']} photos", row, "clipsight s", "rclip s", "s", "rclip")
        name = f"peak memory of that, {row['photos']} photos"
        yield _ratio(name, row, "clipsight peak MB", "rclip peak MB", "MB", "rclip")
    for row in _rows(tables, "rescan", "floor s"):
        name = "index, where nothing is new" if row[""] == "index" else "that and a search"
        yield _ratio(name, row, "clipsight s", "rclip s", "s", "rclip")
        yield _ratio(name, row, "clipsight s", "floor s", "s", "bare scandir and stat")
    for row in _rows(tables, "indexing", "limit /s"):
        if row["round"] == "median":
            yield _ratio(
                "indexing, photos of 12 MP", row, "clipsight /s", "limit /s", "/s", "ONNX Runtime and libjpeg"
            )
            yield _ratio("that, whole process", row, "process /s", "rclip /s", "/s", "rclip")
    for row in _rows(tables, "roofline", "of the roof"):
        if not row[""].startswith("matrix"):
            name = f"{row['']}, {row['cores']} cores"
            yield name, f"{row['GFLOP/s']} GFLOP/s", "matrix product", row["of the roof"]
    for row in _rows(tables, "tuning", "of best"):
        if row[""] == "chosen":
            yield (
                f"settings chosen: {row['setting']}",
                f"{row['photos/s a core']} /s a core",
                "best of a sweep",
                row["of best"],
            )
    yield from _latencies(_rows(tables, "latency", "program"))


def _latencies(rows: list[Row]) -> Iterator[tuple[str, str, str, str]]:
    ours = {row["photos"]: row for row in rows if row["program"] == "clipsight"}
    for row in rows:
        if row["program"] != "clipsight":
            mine = ours[row["photos"]]["p50 ms"]
            recall = f", recall {row['recall@10']}" if row["recall@10"] else ""
            yield (
                f"a warm search, {row['photos']} photos (recall {ours[row['photos']]['recall@10']})",
                f"{mine} ms",
                f"{row['program']} {row['p50 ms']} ms{recall}",
                f"{float(mine) / float(row['p50 ms']):.2f}",
            )


def _ratio(what: str, row: Row, ours: str, theirs: str, unit: str, name: str) -> tuple[str, str, str, str]:
    ratio = _number(row[ours]) / _number(row[theirs])
    return what, f"{row[ours]} {unit}", f"{name} {row[theirs]} {unit}", f"{ratio:.2f}"


def draw(tables: dict[str, list[list[Row]]], folder: Path) -> list[Path]:
    """Plots over the number of photos, both axes logarithmic."""
    latency, processes = _rows(tables, "latency", "program"), _rows(tables, "one_shot", "clipsight s")
    time = [
        ("a warm search, ms", _lines(latency, "p50 ms")),
        ("a process that searches once, s", _pairs(processes, "s")),
    ]
    memory = [
        ("a process that searches, MB", _lines(latency, "RSS MB")),
        ("a process that searches once, peak MB", _pairs(processes, "peak MB")),
    ]
    drawn = {"latency": time, "memory": memory}
    return [
        _plot(folder / f"{name}.svg", panels)
        for name, panels in drawn.items()
        if any(line for _, line in panels)
    ]


Lines = dict[str, tuple[list[float], list[float]]]


def _lines(rows: list[Row], column: str) -> Lines:
    """A line for each program."""
    lines: Lines = {}
    for row in rows:
        if row[column]:
            x, y = lines.setdefault(row["program"], ([], []))
            x.append(_number(row["photos"]))
            y.append(_number(row[column]))
    return lines


def _pairs(rows: list[Row], unit: str) -> Lines:
    """A line for clipsight and one for rclip."""
    counts = [_number(row["photos"]) for row in rows]
    return {
        name: (counts, [_number(row[f"{name} {unit}"]) for row in rows])
        for name in ("clipsight", "rclip")
        if rows
    }


def _plot(file: Path, panels: list[tuple[str, Lines]]) -> Path:
    import matplotlib

    matplotlib.use("Agg")
    matplotlib.rcParams["svg.hashsalt"] = "clipsight"
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, len(panels), figsize=(5 * len(panels), 3.6), layout="constrained")
    axis: Any
    for axis, (title, lines) in zip(axes, panels, strict=True):
        for name, (x, y) in lines.items():
            axis.loglog(x, y, "o-" if name != "memory bus" else "k:", label=name)
        axis.set(title=title, xlabel="photos")
        axis.grid(alpha=0.3)
        if lines:
            axis.legend()
    file.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(file, metadata={"Date": None})
    pyplot.close(figure)
    return file


# -- tables ---------------------------------------------------------------------


def _tables(text: str) -> list[list[Row]]:
    """The Markdown tables of an output, each a list of rows by heading."""
    tables: list[list[Row]] = []
    heading: list[str] = []
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")] if line.startswith("|") else []
        if not cells:
            heading = []
        elif not heading:
            heading = cells
            tables.append([])
        elif any(cell.strip("-:") for cell in cells):
            tables[-1].append(dict(zip(heading, cells, strict=True)))
    return tables


def _rows(tables: dict[str, list[list[Row]]], name: str, column: str) -> list[Row]:
    """The rows of a benchmark's tables that have a column."""
    return [row for table in tables.get(name, []) for row in table if column in row]


def _number(cell: str) -> float:
    return float(cell.replace(",", ""))


def _table(heading: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    return [f"| {' | '.join(cells)} |" for cells in (heading, ["---"] * len(heading), *rows)]


def _section(text: str) -> Iterator[str]:
    """An output as Markdown: its command, tables as they are, and the lines between them as code."""
    command, *lines = text.split("\n")
    yield f"    {command}"
    table = False
    for line in filter(None, lines):
        if table != line.startswith("|"):
            table = not table
            yield ""
        yield line if table else f"    {line}"


def _installed(name: str) -> bool:
    try:
        metadata.version(name)
    except metadata.PackageNotFoundError:
        return False
    return True


def _memory() -> str:
    import os

    return f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 1e9:.0f} GB of memory"
