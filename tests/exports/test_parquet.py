"""parquet, read by pyarrow and pandas."""

import pandas
import pyarrow.parquet as pq

from selflabel.exports import export, parquet
from tests.exports.conftest import EDITED, KEPT, NAMES


def test_parquet_reads_back_as_the_edited_labels_block_by_block(edited, tmp_path, monkeypatch):
    monkeypatch.setattr(parquet, "BLOCK", 7)
    file = export(edited, "parquet", tmp_path / "x.parquet").place
    table = pq.read_table(file)
    kept = edited.labels.take(KEPT)
    for name in ("id", "path", "label", "confidence"):
        assert table[name].to_pylist() == kept[name].to_pylist()
    assert table["name"].to_pylist() == [NAMES[label] for label in EDITED[KEPT]]
    assert pandas.read_parquet(file)["name"].astype(str).tolist() == table["name"].to_pylist()
