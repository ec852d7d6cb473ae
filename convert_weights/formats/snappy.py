"""Snappy's raw block format (public format description), reading only."""

from convert_weights.formats.wire import read_varint
from musicvae_torch.errors import CheckpointError


def decompress(data: bytes) -> bytes:
    """Decompresses the snappy stream `data`.

    Raises CheckpointError for a stream that is malformed or not of the length that it declares.
    """
    expected, position = read_varint(data, 0)
    out = bytearray()
    while position < len(data) and len(out) <= expected:
        tag = data[position]
        position += 1
        if tag & 3 == 0:
            length = (tag >> 2) + 1
            if length > 60:  # the length itself is in 1 to 4 bytes
                end = position + length - 60
                length, position = int.from_bytes(data[position:end], "little") + 1, end
            out += data[position : position + length]
            position += length
            continue
        width = (1, 2, 4)[(tag & 3) - 1]
        offset = int.from_bytes(data[position : position + width], "little")
        position += width
        length = (tag >> 2) + 1
        if width == 1:
            offset |= (tag >> 5) << 8
            length = ((tag >> 2) & 7) + 4
        if not 0 < offset <= len(out):
            raise CheckpointError(f"snappy data copies from {offset} bytes back, has {len(out)}")
        # A copy may reach into the bytes it makes: that is how snappy writes a repetition.
        pattern = bytes(out[-offset:])[:length]
        out += (pattern * (length // len(pattern) + 1))[:length]
    if len(out) != expected or position != len(data):
        raise CheckpointError(f"snappy data gives {len(out)} bytes or more, expected {expected}")
    return bytes(out)
