"""Read llama.cpp's sequence state: move it to other positions, and pack it into three bits a value.

A state is what `llama_state_seq_get_data` gives of a plain KV cache in f16 (llama.cpp, `llama_kv_cache::state_write`):
little-endian magic, sequence, streams, cells; position, sequences and sequence of each cell; whether values lie
transposed, and the layers; then each layer's keys as type, bytes of a row, rows; then each layer's values likewise, or
transposed, as they are without flash attention: type, bytes of a value, width, columns. Any other state (recurrent
layers, sliding windows, other types) raises UnknownState, and is neither moved nor packed.

Keys turn with their position (rotary embedding, Su et al. 2021), so a state moves by turning them further; values do
not depend on it. Packed are keys by channel over GROUP tokens and values by token over GROUP channels, each group with
its least value and its step, as in KIVI (Liu et al. 2024): single channels of keys are a hundred times as large as
others. Two levels make a byte, and a Huffman code (deflate's, without matches) shortens what is frequent. Pass only
bytes of this installation.
"""

from __future__ import annotations

import struct
import zlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

GROUP = 96  # values, about, that share a least value and a step, 4 bytes: a third of a bit a value
LEVELS = 7  # steps between the least value and the greatest
TOLERANCE = 0.01  # of keys' mean size, where f16 rounds to 0.0005
PACKED = b"QNK6"
_F16 = 1  # ggml's number of the type
_HEAD = struct.Struct("<IiII")  # magic, sequence, streams, cells
_PACKED_HEAD = struct.Struct("<4sIIIIII?")  # PACKED, bytes of opening and keys, cells, layers, widths, if transposed
_CELL = np.dtype([("position", "<i4"), ("sequences", "<u4"), ("sequence", "<i4")])


class UnknownState(ValueError):
    """The error of a state that is laid out otherwise than a plain KV cache in f16."""


@dataclass(frozen=True, slots=True)
class Rotation:
    """The rotary embedding of a model: how a head's key turns with its position."""

    head: int  # dimensions of a head
    turning: int  # of them, the first ones
    base: float
    scale: float = 1.0
    halves: bool = False  # pairs are (i, i + turning / 2), else (2 i, 2 i + 1)

    def turn(self, keys: np.ndarray, by: int) -> np.ndarray:
        """Return keys, float32 (layers, cells, width), turned by `by` positions."""
        heads = keys.reshape(*keys.shape[:2], -1, self.head)
        pairs = self.turning // 2
        angles = by * self.scale * self.base ** (-np.arange(pairs, dtype=np.float64) / pairs)
        cosine, sine = np.cos(angles).astype(np.float32), np.sin(angles).astype(np.float32)
        first = np.s_[..., :pairs] if self.halves else np.s_[..., 0 : self.turning : 2]
        second = np.s_[..., pairs : self.turning] if self.halves else np.s_[..., 1 : self.turning : 2]
        turned = heads.copy()
        turned[first] = heads[first] * cosine - heads[second] * sine
        turned[second] = heads[first] * sine + heads[second] * cosine
        return turned.reshape(keys.shape)


@dataclass(slots=True)
class _Parts:
    """The parts of a state, as views into it."""

    cells: np.ndarray  # (cells,) of _CELL
    keys: np.ndarray  # f16 (layers, cells, width)
    values: np.ndarray  # the same
    body: int  # bytes before the first layer's keys
    transposed: bool  # values lie as (layers, width, cells)


def moved(data: bytes, by: int, rotation: Rotation) -> bytes:
    """Return a state whose cells stand `by` positions further. Raises UnknownState."""
    if is_packed(data):
        return _opened(data, by, rotation)
    if not by:
        return data
    copy = bytearray(data)
    parts = _parts(copy)
    parts.cells["position"] += by
    parts.keys[:] = rotation.turn(parts.keys.astype(np.float32), by)
    return bytes(copy)


def turns(rotation: Rotation, here: bytes, there: bytes, by: int) -> bool:
    """Return True where two states of one token, alone and `by` positions apart, differ by the rotation alone."""
    first, second = _parts(here), _parts(there)
    wanted, found = rotation.turn(first.keys.astype(np.float32), by), second.keys.astype(np.float32)
    near = np.abs(wanted - found).mean() <= TOLERANCE * np.abs(found).mean()
    return bool(near and np.array_equal(first.values, second.values))


def packed(data: bytes) -> bytes:
    """Return a state in three bits a value; one that is packed already as it is. Raises UnknownState."""
    if is_packed(data):
        return data
    parts = _parts(data)
    layers, cells, width = parts.keys.shape
    keys, values = (_packed(array.astype(np.float32)) for array in (parts.keys, parts.values.transpose(0, 2, 1)))
    sizes = (parts.body, len(keys), cells, layers, width, parts.values.shape[2])
    return b"".join([_PACKED_HEAD.pack(PACKED, *sizes, parts.transposed), data[: parts.body], keys, values])


def is_packed(data: bytes) -> bool:
    """Return True for what `packed` returned."""
    return data[:4] == PACKED


def unpacked(data: bytes) -> bytes:
    """Return a state as llama.cpp reads it; one that is not packed as it is."""
    return _opened(data) if is_packed(data) else data


def _opened(data: bytes, by: int = 0, rotation: Rotation | None = None) -> bytes:
    """Return a packed state as llama.cpp reads it, `by` positions further; keys and values on a core each."""
    _, body, coded, cells, layers, key_width, value_width, transposed = _PACKED_HEAD.unpack_from(data)
    at = _PACKED_HEAD.size
    opening = bytearray(data[at : at + body])
    np.frombuffer(opening, _CELL, cells, _HEAD.size)["position"] += by
    at += body

    def keys() -> bytes:
        array = _unpacked(data[at : at + coded], (layers, cells, key_width))
        return _rows(rotation.turn(array, by) if rotation and by else array)

    with ThreadPoolExecutor(1) as other:
        first = other.submit(keys)
        values = _unpacked(data[at + coded :], (layers, value_width, cells))
        rows = _rows(values.transpose(0, 2, 1), transposed=transposed)
        return b"".join([opening, first.result(), rows])


def _rows(array: np.ndarray, *, transposed: bool = False) -> bytes:
    """Return float32 (layers, cells, width) as llama.cpp's f16 layers."""
    layers, cells, width = array.shape
    if transposed:
        columns = np.empty(layers, _columns(cells, width))
        columns["type"], columns["value"], columns["width"] = _F16, 2, width
        columns["cells"] = array.transpose(0, 2, 1)
        return columns.tobytes()
    records = np.empty(layers, _layer(cells, width))
    records["type"], records["row"], records["cells"] = _F16, 2 * width, array
    return records.tobytes()


def _groups(rows: int) -> list[slice]:
    """Return groups of about GROUP rows each, of one size but for rounding: a short last one would cost as much."""
    count = max(1, round(rows / GROUP))
    return [slice(at * rows // count, (at + 1) * rows // count) for at in range(count)]


def _packed(array: np.ndarray) -> bytes:
    """Return, of float32 (layers, rows, columns), the least values and steps of each group of rows, and the levels."""
    groups = _groups(array.shape[1])
    levels = np.empty(array.shape, np.uint8)
    scales = np.empty((2, len(groups), array.shape[0], array.shape[2]), "<f2")
    for group, (least, step) in zip(groups, scales.transpose(1, 0, 2, 3), strict=True):
        rows = array[:, group]
        least[:] = rows.min(1)
        step[:] = (rows.max(1) - least) / LEVELS
        width = np.where(step > 0, step, 1).astype(np.float32)[:, None]
        levels[:, group] = np.clip(np.rint((rows - least.astype(np.float32)[:, None]) / width), 0, LEVELS)
    code = zlib.compressobj(1, zlib.DEFLATED, -zlib.MAX_WBITS, zlib.DEF_MEM_LEVEL, zlib.Z_HUFFMAN_ONLY)
    # Low bytes of the numbers apart from high ones, which are alike.
    numbers = code.compress(scales.view(np.uint8).reshape(-1, 2).T.tobytes())
    flat = levels.reshape(-1)
    pairs = np.zeros(-(-flat.size // 2), np.uint8)
    pairs[: flat.size // 2] = flat[1::2] << 4
    pairs |= flat[::2]
    return numbers + code.compress(pairs.tobytes()) + code.flush()


def _unpacked(coded: bytes, shape: tuple[int, int, int]) -> np.ndarray:
    """Return float32 (layers, rows, columns) of what `_packed` returned."""
    data = zlib.decompress(coded, -zlib.MAX_WBITS)
    groups, count = _groups(shape[1]), shape[0] * shape[1] * shape[2]
    numbers = 2 * len(groups) * shape[0] * shape[2]
    scales = np.frombuffer(data, np.uint8, 2 * numbers).reshape(2, -1).T.copy().view("<f2").astype(np.float32)
    pairs = np.frombuffer(data, np.uint8, offset=2 * numbers)
    array = np.empty(2 * pairs.size, np.float32)
    array[::2], array[1::2] = pairs & 15, pairs >> 4
    array = array[:count].reshape(shape)
    scales = scales.reshape(2, len(groups), shape[0], 1, shape[2])
    for group, least, step in zip(groups, *scales, strict=True):
        array[:, group] *= step
        array[:, group] += least
    return array


def _layer(cells: int, width: int) -> np.dtype:
    return np.dtype([("type", "<i4"), ("row", "<u8"), ("cells", "<f2", (cells, width))])


def _columns(cells: int, width: int) -> np.dtype:
    return np.dtype([("type", "<i4"), ("value", "<u4"), ("width", "<u4"), ("cells", "<f2", (width, cells))])


def _parts(data: bytes | bytearray) -> _Parts:
    """Return the parts of a state; writable where `data` is. Raises UnknownState."""
    try:
        _, _, streams, count = _HEAD.unpack_from(data)
        if streams != 1 or not count:
            raise UnknownState(f"{streams} streams, {count} cells")
        cells = np.frombuffer(data, _CELL, count, _HEAD.size)
        at = _HEAD.size + cells.nbytes
        transposed, layers = struct.unpack_from("<II", data, at)
        body = at + 8
        keys, at = _layers(data, body, layers, _layer(count, struct.unpack_from("<iQ", data, body)[1] // 2))
        if transposed:
            values, at = _layers(data, at, layers, _columns(count, struct.unpack_from("<iII", data, at)[2]))
            values = values.transpose(0, 2, 1)
        else:
            values, at = _layers(data, at, layers, _layer(count, struct.unpack_from("<iQ", data, at)[1] // 2))
    except (struct.error, ValueError) as error:
        raise UnknownState(f"not a plain KV cache in f16: {error}") from error
    if at != len(data) or (cells["sequences"] != 1).any():
        raise UnknownState("more than a plain KV cache, or cells of several sequences")
    return _Parts(cells, keys, values, body, bool(transposed))


def _layers(data: bytes | bytearray, at: int, layers: int, layer: np.dtype) -> tuple[np.ndarray, int]:
    """Return the cells of all layers and the place behind them."""
    records = np.frombuffer(data, layer, layers, at)
    sizes = records["row" if "row" in (layer.names or ()) else "width"]
    if (records["type"] != _F16).any() or (sizes != sizes[:1]).any():
        raise UnknownState("layers differ, or are not in f16")
    return records["cells"], at + records.nbytes
