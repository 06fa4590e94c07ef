"""Writes NPY, NPZ and, where pyarrow is installed, Parquet files into a folder; prints what they hold as JSON."""
import datetime
import decimal
import json
import sys

import numpy as np

folder = sys.argv[1]
random = np.random.default_rng(1)
told = {"npy": {}, "parquet": []}

for order in "<>":
    for kind in ["f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "?"]:
        for layout in "CF":
            name = f"{kind.replace('?', 'b')}{'le' if order == '<' else 'be'}{layout}"
            values = random.integers(0, 2 if kind == "?" else 100, size=(3, 4, 2))
            np.save(f"{folder}/{name}.npy", np.array(values, dtype=np.dtype(kind).newbyteorder(order), order=layout))
            told["npy"][name] = values.ravel().tolist()
np.save(f"{folder}/objects.npy", np.array([{}, 1], dtype=object), allow_pickle=True)
np.save(f"{folder}/texts.npy", np.array(["a", "bc"]))
halves = np.array([[0.5, -1.25], [65504, 2**-24]], dtype=np.float16)
np.savez_compressed(f"{folder}/arrays.npz", x=halves, y=np.array([1, 0]))

try:
    import pyarrow as pa
    import pyarrow.parquet as pq
except ImportError:
    print(json.dumps(told))
    sys.exit()

rows = 5000
table = pa.table(
    {
        "double": random.normal(size=rows),
        "hole": pa.array([None if row % 7 == 0 else row for row in range(rows)], pa.int64()),
        "kind": pa.array([f"x{row % 5}" for row in range(rows)]).dictionary_encode(),
        "at": pa.array([datetime.datetime(2024, 1, 1) + datetime.timedelta(hours=row) for row in range(rows)], pa.timestamp("us")),
        "price": pa.array([decimal.Decimal(row) / 4 for row in range(rows)], pa.decimal128(10, 2)),
        "flag": pa.array([row % 2 == 0 for row in range(rows)]),
    }
)
for compression in ["none", "snappy", "gzip", "zstd", "brotli", "lz4"]:
    for version in ["1.0", "2.0"]:
        name = f"{compression}-{version}.parquet"
        pq.write_table(
            table, f"{folder}/{name}", compression=compression, row_group_size=1700, data_page_version=version, data_page_size=2000
        )
        told["parquet"].append(name)
told["double"] = table["double"].to_pylist()
print(json.dumps(told))
