"""parquet: a row an item."""

from __future__ import annotations

from pathlib import Path

from selflabel.exports.base import Format, Taken

BLOCK = 65_536  # rows written at a time


def write(taken: Taken, file: Path) -> None:
    """id, path, label, confidence and the name of the class, which is kept as a dictionary."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    names = pa.array(taken.names, pa.string())
    rows, writer = taken.rows, None
    for start in range(0, len(rows), BLOCK):
        some = rows[start : start + BLOCK]
        labels = taken.labels[some]
        columns = {
            "id": pa.array(some, pa.int64()),
            "path": taken.paths.column.take(pa.array(some)),
            "label": pa.array(labels, pa.int32()),
            "confidence": pa.array(taken.confidence[some], pa.float32()),
            "name": pa.DictionaryArray.from_arrays(pa.array(taken.place_of[labels], pa.int32()), names),
        }
        table = pa.table(columns)
        writer = writer or pq.ParquetWriter(file, table.schema)
        writer.write_table(table)
        taken.progress(min(start + BLOCK, len(rows)), len(rows))
    if writer:
        writer.close()


FORMAT = Format(
    what="a row an item: id, path, label, confidence, name",
    reads="pandas, polars, DuckDB, pyarrow",
    write=write,
    ending=".parquet",
    wants_source=False,
)
