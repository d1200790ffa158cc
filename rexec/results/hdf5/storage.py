"""How a dataset is laid out in the file: contiguous, or in chunks that are compressed."""

import math
import zlib
from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from rexec.results.hdf5.forms import Form

COMPRESS_FROM: Final = 4096
"""Bytes from which on a dataset is chunked and compressed."""

CHUNK: Final = 256 * 1024
"""Bytes of a chunk of a dataset that grows."""

MOST_CHUNK: Final = 256 * 2**20
"""Bytes of a chunk at the most; the library holds a whole one in memory."""

SAMPLE_FROM: Final = 2**20
"""Bytes from which on data that compression does not make smaller are stored as they are: it takes 30 s a GB."""

SAMPLE: Final = 64 * 1024
"""Bytes that are compressed to find that out."""

_OF_COMPRESSION: Final = frozenset({"compression", "level", "shuffle"})


def storage_of(form: Form, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return how a dataset is laid out: chunked and compressed past a size, or as its settings say."""
    if not isinstance(form.data, np.ndarray) or not form.data.ndim or not form.data.size:
        return {}
    text = form.dtype is not None
    row_size = 16 if text else int(form.data.nbytes // form.data.shape[0])
    size = row_size * form.data.shape[0]
    grows = form.row is not None and size > COMPRESS_FROM
    chunked = grows or size > COMPRESS_FROM or bool(settings)
    if not chunked:
        return {}
    storage: dict[str, Any] = {}
    chunks = settings.get("chunks")
    if chunks is not None:
        if math.prod(chunks) * form.data.dtype.itemsize > MOST_CHUNK:
            raise ValueError(
                f"chunks of {chunks} are over {MOST_CHUNK >> 20} MiB: each is written from memory"
            )
        storage["chunks"] = tuple(chunks)
    elif grows:
        storage["chunks"] = (max(1, min(CHUNK // row_size, 65536)), *form.data.shape[1:])
        if row_size > 4 * 2**20:
            storage["chunks"] = True
    else:
        storage["chunks"] = True
    if grows:
        storage["maxshape"] = (None, *form.data.shape[1:])
    if not text:
        storage |= _compression(form.data, settings)
    return storage


def _compression(data: "np.ndarray[Any, Any]", settings: Mapping[str, Any]) -> dict[str, Any]:
    compression = settings.get("compression", "gzip")
    if compression is None or (not settings.keys() & _OF_COMPRESSION and not _is_worth_it(data)):
        return {}
    kind = data.dtype.kind
    # Shuffling the bytes of a complex number mixes those of its two parts: it compresses worse than none.
    storage = {"compression": compression, "shuffle": bool(settings.get("shuffle", kind != "c"))}
    if compression == "gzip":
        storage["compression_opts"] = int(settings.get("level", 4))
    return storage


def _is_worth_it(data: "np.ndarray[Any, Any]") -> bool:
    """Return whether compression makes data smaller by a fifth; large data are judged by a sample of their middle."""
    if data.nbytes < SAMPLE_FROM:
        return True
    count = max(1, SAMPLE // data.dtype.itemsize)
    sample = np.ascontiguousarray(data).reshape(-1)[data.size // 2 :][:count]
    # Byte by byte, as the library's shuffle arranges them.
    shuffled = sample.view(np.uint8).reshape(len(sample), -1).T.tobytes()
    return len(zlib.compress(shuffled, 1)) < 0.8 * len(shuffled)
