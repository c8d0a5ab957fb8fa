"""parquet: a row per item."""

from __future__ import annotations

from pathlib import Path

from selflabel.exports.context import ExportContext
from selflabel.runs.tables import with_nulls

BLOCK = 65_536  # rows written at a time


def write(context: ExportContext, file: Path) -> None:
    """Write id, path, the piece, label, confidence and the name of the class, which is stored as a dictionary."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    names = pa.array(context.class_names, pa.string())
    rows, writer = context.rows, None
    pieces = {} if context.pieces is None else context.pieces.columns()
    for start in range(0, len(rows), BLOCK):
        block = rows[start : start + BLOCK]
        labels = context.labels[block]
        columns = {
            "id": pa.array(block, pa.int64()),
            "path": context.paths.column.take(pa.array(block)),
            **{name: with_nulls(column[block]) for name, column in pieces.items()},
            "label": pa.array(labels, pa.int32()),
            "confidence": pa.array(context.confidence[block], pa.float32()),
            "name": pa.DictionaryArray.from_arrays(pa.array(context.category_of_label[labels], pa.int32()), names),
        }
        table = pa.table(columns)
        writer = writer or pq.ParquetWriter(file, table.schema)
        writer.write_table(table)
        context.progress(min(start + BLOCK, len(rows)), len(rows))
    if writer:
        writer.close()
