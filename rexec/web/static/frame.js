// Reads a message of the server: docs/reference/web-protocol.md. Arrays are views of the message, not copies.

const TYPES = {
  u1: Uint8Array, u2: Uint16Array, u4: Uint32Array, i2: Int16Array, i4: Int32Array, f4: Float32Array, f8: Float64Array,
};

/** The header of a message; its `arrays` are typed arrays, each with its `shape`. */
export function parseFrame(buffer) {
  const length = new DataView(buffer).getUint32(0, true);
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, length)));
  header.arrays = header.arrays.map(([type, shape, at]) => {
    const size = shape.reduce((product, each) => product * each, 1);
    const array = new TYPES[type](buffer, 4 + length + at, size);
    array.shape = shape;
    return array;
  });
  return header;
}
